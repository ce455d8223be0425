import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { isNatError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { observeTcp } from '../src/tcp.js'
import { message, success } from './fake-server.js'
import { call } from './scene.js'

type Answer = (request: Uint8Array, socket: Socket) => void

/** A server on loopback that answers the first request of a connection, and records the remote ends of connections. */
async function serve(
  answer: Answer
): Promise<{ readonly server: { address: string; port: number }; readonly ends: Promise<void>[] }> {
  const ends: Promise<void>[] = []
  const listener: Server = createServer((socket) => {
    ends.push(once(socket, 'close').then(() => undefined))
    socket.on('error', () => undefined)
    socket.once('data', (request) => answer(new Uint8Array(request), socket))
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  onTestFinished(() => void listener.close())
  const { port } = listener.address() as AddressInfo
  return { server: { address: '127.0.0.1', port }, ends }
}

const honest: Answer = (request, socket) =>
  void socket.write(success(request, { address: '127.0.0.1', port: socket.remotePort ?? 0 }))

async function freePort(): Promise<number> {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  listener.close()
  await once(listener, 'close')
  return port
}

describe('observeTcp', () => {
  it('observeTcp observes the chosen port and keeps the connection until it is closed', async () => {
    const { server, ends } = await serve(honest)
    const localPort = await freePort()
    const { mapped, local, close } = await observeTcp({ server, localPort }, call())
    expect([mapped, local]).toEqual([
      { address: '127.0.0.1', port: localPort },
      { address: '127.0.0.1', port: localPort }
    ])
    close()
    close()
    await Promise.all(ends)
    expect(ends).toHaveLength(1)
  })

  it('observeTcp can use the port for a second server while the first connection is open', async () => {
    const [one, two] = [await serve(honest), await serve(honest)]
    const localPort = await freePort()
    const first = await observeTcp({ server: one.server, localPort }, call())
    const second = await observeTcp({ server: two.server, localPort }, call())
    expect(second.local).toEqual(first.local)
    first.close()
    second.close()
  })

  it('observeTcp joins an answer in pieces and ignores what follows it', async () => {
    const { server } = await serve((request, socket) => {
      const bytes = success(request, { address: '127.0.0.1', port: 7 })
      socket.setNoDelay(true)
      for (const at of [1, 5, 21]) socket.write(bytes.subarray(at === 1 ? 0 : at === 5 ? 1 : 5, at))
      socket.write(Uint8Array.from([...bytes.subarray(21), 1, 2, 3]))
    })
    const { mapped, close } = await observeTcp({ server }, call())
    expect(mapped.port).toBe(7)
    close()
  })

  it('observeTcp rejects with REFUSED without a listener', async () => {
    const server = { address: '127.0.0.1', port: await freePort() }
    await expect(observeTcp({ server }, call())).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it('observeTcp rejects with PORT_TAKEN for a local address that this host does not have', async () => {
    const { server } = await serve(honest)
    const taken = observeTcp({ server, localAddress: '203.0.113.1' }, call())
    await expect(taken).rejects.toMatchObject({ code: 'PORT_TAKEN' })
  })

  it.each([
    ['closes', (_request, socket) => socket.end(), 'NO_REPLY'],
    ['resets', (_request, socket) => socket.resetAndDestroy(), 'NO_REPLY'],
    [
      'announces a message without an end',
      (_request, socket) => socket.write(Uint8Array.of(1, 1, 255, 252)),
      'REPLY_TOO_LARGE'
    ],
    [
      'answers another question',
      (_request, socket) => socket.write(success(new Uint8Array(20), { address: '127.0.0.1', port: 1 })),
      'MALFORMED_REPLY'
    ],
    [
      'is a web server',
      (_request, socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(99)),
      'REPLY_TOO_LARGE'
    ],
    [
      'tells no host',
      (request, socket) => socket.write(success(request, { address: '0.0.0.0', port: 1 })),
      'UNTRUSTED_REPLY'
    ],
    [
      'refuses',
      (request, socket) => socket.write(message(0x111, request.subarray(8, 20), [[9, Uint8Array.of(0, 0, 4, 0)]])),
      'OBSERVER_REFUSED'
    ]
  ] satisfies readonly (readonly [string, Answer, string])[])(
    'a server that %s is not believed, and let go',
    async (_, answer, code) => {
      const { server, ends } = await serve(answer)
      await expect(observeTcp({ server }, call())).rejects.toMatchObject({ code })
      await Promise.all(ends)
      expect(ends).toHaveLength(1)
    }
  )

  it('observeTcp gives up a server that stalls after 39.5 s and closes the connection', async () => {
    const clock = virtualClock()
    const asked = Promise.withResolvers<void>()
    const { server, ends } = await serve(() => asked.resolve())
    const observing = observeTcp({ server, clock }, call())
    observing.catch(() => undefined)
    await asked.promise
    await clock.advance(39_500)
    await expect(observing).rejects.toMatchObject({ code: 'NO_REPLY' })
    await Promise.all(ends)
    expect(clock.pending).toBe(0)
  })

  it("observeTcp rejects with the signal's reason before and after the connection is established", async () => {
    const reason = new Error('enough')
    const asked = Promise.withResolvers<void>()
    const { server, ends } = await serve(() => asked.resolve())
    await expect(observeTcp({ server }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const cut = new AbortController()
    const observing = observeTcp({ server }, cut)
    observing.catch(() => undefined)
    await asked.promise
    cut.abort(reason)
    await expect(observing).rejects.toBe(reason)
    await Promise.all(ends)
  })

  it('observeTcp resolves or rejects with a NatError for any bytes', async () => {
    const answers: Uint8Array[] = []
    const { server } = await serve((request, socket) => {
      const next = answers.shift() ?? new Uint8Array(0)
      socket.end(next[0] === 0 ? success(request, { address: '127.0.0.1', port: 1 }).subarray(0, next.length) : next)
    })
    const property = fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
      answers.push(bytes)
      const end = await observeTcp({ server }, call()).then(
        ({ close }) => close(),
        (error: unknown) => error
      )
      expect(end === undefined || isNatError(end)).toBe(true)
    })
    await fc.assert(property, { numRuns: 60 })
  })
})
