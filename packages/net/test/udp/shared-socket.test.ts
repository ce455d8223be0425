import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { familyOf } from '@postern/interface'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openSharedSocket, openTap, shareSocketOf } from '../../src/index.js'

async function bound(type: 'udp4' | 'udp6', address: string): Promise<Socket> {
  const socket = createSocket(type).bind(0, address)
  await once(socket, 'listening')
  onTestFinished(() => void socket.close())
  return socket
}

/** Echoes every datagram. */
async function echo(): Promise<{ readonly address: string; readonly port: number }> {
  const socket = await bound('udp4', '127.0.0.1')
  socket.on('message', (bytes, { address, port }) => socket.send(bytes, port, address))
  return socket.address()
}

const call = (): AbortController => {
  const controller = new AbortController()
  onTestFinished(() => controller.abort())
  return controller
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytes = new TextEncoder().encode('hello')

describe('shareSocketOf', () => {
  it('shareSocketOf delivers datagrams to the program and to receivers, and only to the program afterwards', async () => {
    const [socket, there, cut] = [await bound('udp4', '127.0.0.1'), await echo(), call()]
    const heard: string[] = []
    socket.on('message', (message) => heard.push(`program ${text(message)}`))
    const { port } = socket.address()
    const tap = shareSocketOf(socket, { protocol: 'udp', family: 4, address: '127.0.0.1', port })
    for (const name of ['one', 'two'])
      tap.receive((message, from) => heard.push(`${name} ${text(message)} ${from.port}`), cut)
    expect(socket.listenerCount('message')).toBe(2)
    tap.send(bytes, there)
    await once(socket, 'message')
    expect(heard).toEqual(['program hello', `one hello ${there.port}`, `two hello ${there.port}`])
    cut.abort()
    expect(socket.listenerCount('message')).toBe(1)
  })

  it('shareSocketOf reaches IPv4 hosts from a socket on :: and reports IPv4 addresses', async () => {
    const [socket, there] = [await bound('udp6', '::'), await echo()]
    const { port } = socket.address()
    const tap = shareSocketOf(socket, { protocol: 'udp', family: 4, address: '127.0.0.1', port })
    const heard = new Promise((resolve) => {
      tap.receive((_, from) => resolve(from), call())
    })
    tap.send(bytes, there)
    expect(await heard).toEqual({ address: there.address, port: there.port })
  })

  it('shareSocketOf does not report send failures to the error listeners of the program', async () => {
    const socket = await bound('udp4', '127.0.0.1')
    const errors: unknown[] = []
    socket.on('error', (error) => errors.push(error))
    const { port } = socket.address()
    shareSocketOf(socket, { protocol: 'udp', family: 4, address: '127.0.0.1', port }).send(bytes, {
      address: '255.255.255.255',
      port: 9
    })
    const [other, there] = [await bound('udp4', '127.0.0.1'), await echo()]
    other.send(bytes, there.port, there.address)
    await once(other, 'message')
    expect(errors).toEqual([])
  })
})

describe('openSharedSocket', () => {
  it('openSharedSocket opens a socket on the default route and closes it with the signal', async () => {
    const there = await echo()
    const cut = call()
    const network = {
      gateways: [{ address: '127.0.0.2', interface: 'lo', localAddress: '127.0.0.1' }],
      addresses: ['::1']
    }
    const tap = await openSharedSocket(() => network)(cut)
    expect(tap.endpoint).toMatchObject({ protocol: 'udp', family: 4, address: '127.0.0.1' })
    const heard = new Promise((resolve) => {
      tap.receive((message) => resolve(text(message)), call())
    })
    tap.send(bytes, there)
    expect(await heard).toBe('hello')
    cut.abort()
    const again = await openTap({ family: 4, address: '127.0.0.1', port: tap.endpoint.port }, call())
    expect(familyOf(again.endpoint.address)).toBe(4)
    again.close()
    again.close()
  })

  it('openSharedSocket rejects with UNREACHABLE without an address', async () => {
    await expect(openSharedSocket(() => ({ gateways: [], addresses: [] }))(call())).rejects.toMatchObject({
      code: 'UNREACHABLE'
    })
  })
})
