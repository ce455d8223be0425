import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttp2Server, createSecureServer } from 'node:http2'
import { createServer, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { memoryStore } from '@postern/core'
import { virtualClock } from '@postern/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { type ExposableServer, type ExposeOptions, type Exposure, expose } from '../src/index.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const nowhere: ExposeOptions = {
  strategies: 'none',
  store: memoryStore(),
  findNetwork: () => Promise.resolve({ gateways: [], addresses: [] })
}

/** Returns the result of `expose` with a clock that advances by 5 s. */
async function exposedLate(server: ExposableServer): Promise<Exposure> {
  const clock = virtualClock()
  const host = { clock, random: Math.random, log: { debug: () => undefined, info: () => undefined } }
  const waiting = expose(server, { ...nowhere, host })
  await clock.advance(5000)
  const exposure = await waiting
  cleanups.push(() => exposure.close())
  return exposure
}

async function bound<S extends ExposableServer>(server: S): Promise<S> {
  cleanups.push(() => server.close())
  await once(server, 'listening')
  return server
}

describe('expose settles', () => {
  it.each([
    ['net', () => createServer()],
    ['http', () => createHttpServer()],
    ['http2', () => createHttp2Server()],
    ['https', () => createSecureServer()],
    ['tls', () => createTlsServer()],
    ['dgram', () => createSocket('udp4')]
  ])('expose settles within 5 s for a server of %s that never listens, with advice', async (_, create) => {
    const exposure = await exposedLate(create())
    expect(exposure.report()).toMatchObject({ verdict: 'unknown', advice: [expect.stringContaining('not listen yet')] })
  })

  it('expose settles within 5 s for servers that were closed before', async () => {
    const server = createServer().listen(0)
    const socket = createSocket('udp4').bind(0)
    await Promise.all([once(server, 'listening'), once(socket, 'listening')])
    server.close()
    socket.close()
    await Promise.all([once(server, 'close'), once(socket, 'close')])
    expect((await exposedLate(server)).addresses).toEqual([])
    expect((await exposedLate(socket)).addresses).toEqual([])
  })

  it('expose settles at once for a closed socket, even if it was never bound', async () => {
    const closed = createSocket('udp4').bind(0)
    await once(closed, 'listening')
    closed.close()
    const closing = createSocket('udp4')
    const waiting = expose(closing, nowhere)
    closing.close()
    for (const exposure of [await expose(closed, nowhere), await waiting])
      expect(exposure.report().advice).toEqual([expect.stringMatching(/^The socket has closed/)])
  })

  it('expose settles at once for a server that is closed right after listen()', async () => {
    const server = createServer().listen(0)
    const waiting = expose(server, nowhere)
    server.close()
    expect((await waiting).report().advice).toEqual([expect.stringMatching(/^The server has closed/)])
  })

  it.each<[string, () => unknown]>([
    ['throws', () => expect.fail('no network')],
    ['gives nothing', () => null],
    ['gives what is no network', () => Promise.resolve({})],
    ['never answers', () => new Promise(() => undefined)]
  ])('expose settles within 5 s if findNetwork %s, with advice, and can be closed', async (_, find) => {
    const clock = virtualClock()
    const host = { clock, random: Math.random, log: { debug: () => undefined, info: () => undefined } }
    const server = await bound(createServer().listen(0, '127.0.0.1'))
    const waiting = expose(server, { ...nowhere, host, findNetwork: find as never })
    await clock.advance(10_000)
    const exposure = await waiting
    expect(exposure.report().advice).toEqual([expect.stringMatching(/network/)])
    await exposure.close()
  })

  it('expose settles at once if the port is taken, and exposes the server when it listens later', async () => {
    const first = await bound(createServer().listen(0, '127.0.0.1'))
    const address = first.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const second = createServer().listen(port, '127.0.0.1')
    const errors: unknown[] = []
    second.on('error', (error) => errors.push(error))
    const exposure = await expose(second, nowhere)
    cleanups.push(() => exposure.close())
    expect(errors).toHaveLength(1)
    expect(exposure.report().advice).toEqual([expect.stringContaining('EADDRINUSE')])
    const verdict = new Promise((resolve) => exposure.addEventListener('verdict', resolve))
    second.close()
    second.listen(0, '127.0.0.1')
    await bound(second)
    await verdict
    expect(exposure.report().cause).toBe('loopback-only')
    expect(second.listenerCount('error')).toBe(1)
  })

  it('expose rejects with a TypeError for a server on a pipe, and leaves nothing running', async () => {
    const socket = new Socket()
    await expect(expose(Object.assign(socket))).rejects.toThrow(TypeError)
    await expect(expose(Object.assign(new EventTarget(), { listen: () => undefined }) as never)).rejects.toThrow(
      TypeError
    )
  })

  it('expose settles if the exposure is closed while it waits', async () => {
    const end = new AbortController()
    const waiting = expose(createServer(), { ...nowhere, signal: end.signal })
    end.abort()
    await (await waiting).close()
  })
})
