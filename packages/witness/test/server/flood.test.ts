import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { about, post, serverHost, skipReason, start, target } from './scene.js'

const skipped = skipReason === undefined ? '' : ` (skipped: ${skipReason})`

/** Opens connections from an address. Resolves when each is open or closed again. */
async function open(port: number, count: number, localAddress: string): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect({ port, host: serverHost, localAddress }))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
  })
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise((resolve) => {
          socket.on('error', resolve)
          socket.once('connect', resolve)
        })
    )
  )
  return sockets
}

describe.skipIf(skipReason !== undefined)(`a flood of requests${skipped}`, () => {
  it('the server dials no more often for one address than its limits allow, and says when to ask again', async () => {
    const { server, url } = await start({ requestsPerIp: 5, requestsPerSubnet: 100, requestsPerMinute: 1000 })
    const { port } = await target()
    const replies = []
    for (let count = 0; count < 20; count += 1) replies.push(await post(url, about(port)))
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(5)
    expect(replies.at(-1)).toMatchObject({ status: 429, body: { error: 'busy' } })
    expect(replies.at(-1)?.headers.get('retry-after')).toBe('60')
    expect(server.counters.dials).toBe(5)
    expect(server.limited).toEqual({ 'minute-ip': 15 })
  })

  it('the server reads four times as many requests of an address as it dials for, whatever they ask', async () => {
    const { server, url } = await start({ requestsPerIp: 5, requestsPerSubnet: 100, requestsPerMinute: 1000 })
    const statuses = []
    for (let count = 0; count < 30; count += 1) {
      const { status } = await post(url, '{', count % 2 === 0 ? { method: 'GET', path: '/v1/address' } : {})
      statuses.push(status)
    }
    expect(statuses.slice(0, 20)).toEqual(Array.from({ length: 10 }, () => [200, 400]).flat())
    expect(new Set(statuses.slice(20))).toEqual(new Set([429]))
    expect(server.limited).toEqual({ 'read-ip': 10 })
  })

  it('the server dials again when a minute has passed', async () => {
    const clock = virtualClock()
    const { url } = await start({ clock, requestsPerIp: 1 })
    const { port } = await target()
    const statuses = []
    for (const waitMs of [0, 59_000, 1001]) {
      await clock.advance(waitMs)
      statuses.push((await post(url, about(port))).status)
    }
    expect(statuses).toEqual([200, 429, 200])
  })

  it('the server has few connections to one address at a time, whatever it holds open', async () => {
    const clock = virtualClock()
    const { server, url } = await start({
      clock,
      requestsPerIp: 1000,
      requestsPerSubnet: 2000,
      requestsPerMinute: 5000
    })
    const sockets: Socket[] = []
    const { port } = await target((socket) => {
      sockets.push(socket.on('error', () => undefined))
    })
    const replies = await Promise.all(Array.from({ length: 100 }, () => post(url, about(port))))
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(8)
    expect(server.dialling).toBe(8)
    expect(server.limited).toEqual({ ip: 92 })
    for (const socket of sockets) socket.destroy()
  })
})

describe.skipIf(skipReason !== undefined)(`a flood of connections${skipped}`, () => {
  it('the server keeps 16 connections of one address, and answers another one', { timeout: 30_000 }, async () => {
    const { server, port, url } = await start()
    const sockets = await open(port, 400, '127.0.0.2')
    // The oldest give way.
    await Promise.all(sockets.slice(0, -16).map(closed))
    expect([server.connections, server.closedConnections]).toEqual([16, 384])
    const { port: home } = await target()
    expect((await post(url, about(home))).status).toBe(200)
  })

  it('the server has a place for a new network if others hold all of them', { timeout: 30_000 }, async () => {
    const { server, port, url } = await start({ maxConnections: 64 })
    for (let host = 1; host <= 16; host += 1) await open(port, 8, `127.0.${host}.1`)
    expect(server.connections).toBeLessThanOrEqual(64)
    const { port: home } = await target()
    expect((await post(url, about(home))).status).toBe(200)
    expect(server.connections).toBeLessThanOrEqual(64)
  })

  it('the server closes clients that send their request slowly', { timeout: 30_000 }, async () => {
    const { server, port } = await start()
    const [socket] = await open(port, 1, '127.0.0.2')
    socket?.write(
      'POST /v1/verify HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{'
    )
    await closed(socket)
    while (server.connections > 0) await turn()
    expect(server.counters.dials).toBe(0)
  })

  it('the server closes clients that send headers without end', async () => {
    const { server, port } = await start()
    const [socket] = await open(port, 1, '127.0.0.2')
    socket?.write(`POST /v1/verify HTTP/1.1\r\n${'x: y\r\n'.repeat(5000)}`)
    await closed(socket)
    while (server.connections > 0) await turn()
    expect(server.counters.requests).toBe(0)
  })
})

async function closed(socket: Socket | undefined): Promise<void> {
  if (socket === undefined || socket.closed) return
  await once(socket.resume(), 'close')
}
