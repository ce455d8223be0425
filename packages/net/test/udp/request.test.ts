import { createSocket, Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Clock, NatError } from '@postern/interface'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { localAddressTowards, openUdp, requestUdp, type UdpOptions, type UdpRequest } from '../../src/index.js'

const clock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (ms, { signal }) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms)
      signal.addEventListener('abort', () => {
        clearTimeout(timer)
        reject(signal.reason)
      })
    })
}
const call = { signal: new AbortController().signal }
const nothing = (): void => undefined

const peers = new Set<Socket>()
afterEach(() => {
  for (const each of peers) each.close()
  peers.clear()
})

/** A peer on loopback that answers each datagram with the given answers for its number. */
async function peer(
  answers: (count: number) => readonly Uint8Array[]
): Promise<{ readonly port: number; readonly heard: () => number }> {
  const socket = createSocket('udp4')
  peers.add(socket)
  let count = 0
  socket.on('message', (_, from) => {
    for (const answer of answers(++count)) socket.send(answer, from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return { port: socket.address().port, heard: () => count }
}

const request = (port: number, changes: Partial<UdpRequest<number>> = {}): UdpRequest<number> => ({
  remote: { address: '127.0.0.1', port },
  family: 4,
  bytes: Uint8Array.of(1),
  waitsMs: [30, 60, 1000],
  match: (bytes) => (bytes[0] === 7 ? 7 : undefined),
  clock,
  ...changes
})

describe('requestUdp', () => {
  it('requestUdp retransmits until it is answered and ignores other answers', async () => {
    const { port, heard } = await peer((count) =>
      count < 3 ? [Uint8Array.of(9)] : [Uint8Array.of(8), Uint8Array.of(7)]
    )
    expect(await requestUdp(request(port), call)).toBe(7)
    expect(heard()).toBe(3)
  })

  it('requestUdp rejects with NO_REPLY after the last wait', async () => {
    const { port, heard } = await peer(() => [])
    await expect(requestUdp(request(port, { waitsMs: [5, 10] }), call)).rejects.toMatchObject({ code: 'NO_REPLY' })
    expect(heard()).toBe(2)
  })

  it('requestUdp rejects with REFUSED at once if the port is closed', async () => {
    const { port } = await peer(() => [])
    for (const socket of peers) socket.close()
    peers.clear()
    await expect(requestUdp(request(port, { waitsMs: [60_000] }), call)).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it('requestUdp ignores datagrams of other hosts', async () => {
    const { port } = await peer(() => [])
    const other = createSocket('udp4')
    peers.add(other)
    let bound = 0
    const running = requestUdp(
      request(port, {
        waitsMs: [80],
        open: async (options, each) => {
          const socket = await openUdp(options, each)
          bound = socket.local.port
          other.send(Uint8Array.of(7), bound, '127.0.0.1')
          return socket
        }
      }),
      call
    )
    await expect(running).rejects.toMatchObject({ code: 'NO_REPLY' })
    expect(bound).toBeGreaterThan(0)
  })

  it('requestUdp reports another host that answers for its peer and ignores the answer', async () => {
    const { port, heard } = await peer(() => [])
    const other = createSocket('udp4')
    peers.add(other)
    const sources: number[] = []
    const told: string[] = []
    const running = requestUdp(
      request(port, {
        waitsMs: [30, 60, 200],
        elsewhere: (address) => told.push(address),
        open: async (options, each) => {
          const socket = await openUdp(options, each)
          sources.push(socket.local.port)
          for (const byte of [7, 9]) other.send(Uint8Array.of(byte), socket.local.port, '127.0.0.1')
          return socket
        }
      }),
      call
    )
    other.bind(0, '127.0.0.2')
    await expect(running).rejects.toMatchObject({ code: 'NO_REPLY' })
    expect(told).toEqual(['127.0.0.2'])
    expect([heard(), new Set(sources).size]).toEqual([3, 2])
  })

  it('requestUdp accepts an answer of its peer on the unconnected socket', async () => {
    const { port } = await peer((count) => (count === 2 ? [Uint8Array.of(7)] : []))
    expect(await requestUdp(request(port, { elsewhere: () => undefined }), call)).toBe(7)
  })

  it('requestUdp keeps waiting after a malformed answer and rejects with that if no other comes', async () => {
    const { port } = await peer(() => [Uint8Array.of(6)])
    const match = (): undefined => {
      throw Object.assign(new Error('bad'), { code: 'MALFORMED_REPLY' })
    }
    await expect(requestUdp(request(port, { waitsMs: [5, 20], match }), call)).rejects.toMatchObject({
      code: 'MALFORMED_REPLY'
    })
  })

  it('requestUdp rejects with the refusal of its peer', async () => {
    const { port } = await peer(() => [Uint8Array.of(6)])
    const match = (): never => {
      throw Object.assign(new Error('no'), { code: 'NOT_AUTHORIZED' })
    }
    await expect(requestUdp(request(port, { match }), call)).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
  })

  it("requestUdp rejects with the signal's reason before and while it runs", async () => {
    const { port, heard } = await peer(() => [])
    await expect(requestUdp(request(port), { signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow('early')
    expect(heard()).toBe(0)
    const abort = new AbortController()
    const running = requestUdp(request(port), abort)
    abort.abort(new Error('late'))
    await expect(running).rejects.toThrow('late')
  })

  it('requestUdp leaves no socket and no timer after a thousand requests', async () => {
    const { port } = await peer(() => [Uint8Array.of(7)])
    const before = process.getActiveResourcesInfo().length
    for (let count = 0; count < 1000; count++) await requestUdp(request(port), call)
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before + 1)
  })
})

describe('requestUdp with a guessable answer', () => {
  interface Opened extends UdpOptions {
    isOpen: boolean
    sent: number
  }

  /** Sockets and a clock that the test controls. */
  function wire(waitsMs: readonly number[], changes: Partial<UdpRequest<number>> = {}) {
    let now = 0
    const sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>()
    const sockets: Opened[] = []
    const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    const result = requestUdp(
      request(5351, {
        waitsMs,
        isGuessable: true,
        clock: {
          monotonicMs: () => now,
          wallMs: () => now,
          sleep: (ms, { signal }) =>
            new Promise((resolve, reject) => {
              sleepers.add({ atMs: now + ms, wake: resolve })
              signal.addEventListener('abort', () => reject(signal.reason), { once: true })
            })
        },
        async open(options, { signal }) {
          const opened: Opened = { ...options, isOpen: true, sent: 0 }
          sockets.push(opened)
          const close = (): void => void (opened.isOpen = false)
          signal.addEventListener('abort', close)
          return { local: { address: '127.0.0.1', port: sockets.length }, send: () => void opened.sent++, close }
        },
        ...changes
      }),
      call
    )
    const told = result.catch((error: NatError) => error.code)
    return {
      sockets,
      told,
      say: (index: number, byte: number) =>
        sockets[index]?.onMessage(Uint8Array.of(byte), { address: '127.0.0.1', port: 5351 }),
      async advance(ms: number) {
        for (const end = now + ms; now < end; ) {
          await settle()
          now += 1
          for (const each of sleepers) {
            if (each.atMs > now) continue
            sleepers.delete(each)
            each.wake()
          }
        }
        await settle()
      }
    }
  }

  it.each([0, 3, 7])(
    'is not answered by a host that sends answers to every port (the real one as number %i)',
    async (at) => {
      const each = wire([250, 500, 1000])
      await each.advance(400)
      expect(each.sockets.map(({ sent }) => sent)).toEqual([2, 0, 0, 0, 0, 0, 0, 0])
      const order = [1, 2, 3, 4, 5, 6, 7]
      order.splice(at, 0, 0)
      for (const index of order) each.say(index, 7)
      expect(await each.told).toBe('UNTRUSTED_REPLY')
      expect(each.sockets.filter(({ isOpen }) => isOpen)).toEqual([])
    }
  )

  it('requestUdp ignores a few unexpected datagrams and rejects after many', async () => {
    const few = wire([250, 500])
    await few.advance(20)
    for (let count = 0; count < 7; count++) few.say(0, 9)
    few.say(0, 7)
    expect(await few.told).toBe(7)
    const many = wire([250, 500])
    await many.advance(20)
    for (let count = 0; count < 8; count++) many.say(0, 9)
    many.say(0, 7)
    expect(await many.told).toBe('UNTRUSTED_REPLY')
  })

  it('requestUdp opens no decoys for a peer that answers promptly', async () => {
    const each = wire([250, 500])
    await each.advance(40)
    each.say(0, 7)
    expect([await each.told, each.sockets.length]).toEqual([7, 1])
  })

  it('requestUdp accepts a slow answer if no forged one follows for a while', async () => {
    const each = wire([1000])
    await each.advance(300)
    each.say(0, 7)
    let isOver = false
    void each.told.then(() => (isOver = true))
    await each.advance(249)
    expect(isOver).toBe(false)
    await each.advance(2)
    expect(await each.told).toBe(7)
  })

  it('requestUdp accepts a held answer when its last wait ends', async () => {
    const each = wire([100, 200])
    await each.advance(200)
    each.say(0, 7)
    await each.advance(100)
    expect(await each.told).toBe(7)
  })

  it('requestUdp continues without decoys that cannot be opened', async () => {
    let opened = 0
    const { told, advance } = wire([100, 200], {
      open: async () => {
        if (opened++ > 0) throw Object.assign(new Error('EMFILE'), { code: 'UNREACHABLE' })
        return { local: { address: '127.0.0.1', port: 1 }, send: nothing, close: nothing }
      }
    })
    await advance(301)
    expect([await told, opened]).toEqual(['NO_REPLY', 8])
  })

  it('requestUdp opens no decoys for answers with a nonce', async () => {
    const each = wire([250, 500], { isGuessable: false })
    await each.advance(400)
    for (let count = 0; count < 20; count++) each.say(0, 9)
    each.say(0, 7)
    expect([await each.told, each.sockets.length]).toEqual([7, 1])
  })
})

describe('openUdp', () => {
  it('openUdp rejects with PORT_TAKEN for a port in use', async () => {
    const { port } = await peer(() => [])
    const options = { family: 4, local: { address: '127.0.0.1', port }, onMessage: nothing, onError: nothing } as const
    await expect(openUdp(options, call)).rejects.toMatchObject({ code: 'PORT_TAKEN' })
  })

  it('openUdp reports an exception of the datagram handler as an error and stays open', async () => {
    const { promise: told, resolve } = Promise.withResolvers<NatError>()
    let handled = 0
    const onMessage = (): void => {
      handled++
      throw new RangeError('bad luck')
    }
    const local = { address: '127.0.0.1' }
    const abort = new AbortController()
    const hearer = await openUdp({ family: 4, local, onMessage, onError: resolve }, abort)
    const sender = await openUdp({ family: 4, local, onMessage: () => undefined, onError: () => undefined }, abort)
    sender.send(Uint8Array.of(1), hearer.local)
    expect(await told).toMatchObject({ code: 'STRATEGY_FAULT', cause: new RangeError('bad luck') })
    sender.send(Uint8Array.of(2), hearer.local)
    await expect.poll(() => handled).toBe(2)
    abort.abort()
  })

  it('openUdp closes the socket when the signal aborts', async () => {
    const abort = new AbortController()
    const options = { family: 4, local: { address: '127.0.0.1' }, onMessage: nothing, onError: nothing } as const
    const socket = await openUdp(options, abort)
    abort.abort()
    socket.send(Uint8Array.of(1), { address: '127.0.0.1', port: 9 })
    socket.close()
    const again = await openUdp({ ...options, local: socket.local }, call)
    expect(again.local.port).toBe(socket.local.port)
    again.close()
  })
})

describe('localAddressTowards', () => {
  it('localAddressTowards resolves to the local address of the route', async () => {
    expect(await localAddressTowards('127.0.0.2', call)).toBe('127.0.0.1')
    await expect(localAddressTowards('router', call)).rejects.toThrow(TypeError)
  })
})

describe('a runtime that does not connect UDP sockets, such as Deno', () => {
  afterEach(() => vi.restoreAllMocks())

  /** `connect` succeeds without effect, so the kernel accepts every sender and does not tell a local address. */
  function withoutConnect(): void {
    vi.spyOn(Socket.prototype, 'connect').mockImplementation((...args: readonly unknown[]) => {
      const done = args.at(-1)
      if (typeof done === 'function') Reflect.apply(done, undefined, [])
    })
  }

  it('openUdp accepts only datagrams of its peer', async () => {
    withoutConnect()
    const [own, stranger] = [createSocket('udp4'), createSocket('udp4')]
    peers.add(own).add(stranger)
    for (const socket of [own, stranger]) {
      socket.bind(0, '127.0.0.1')
      await once(socket, 'listening')
    }
    const heard: number[] = []
    const answered = Promise.withResolvers<void>()
    const onMessage: UdpOptions['onMessage'] = ([first = 0]) => {
      heard.push(first)
      if (first === 1) answered.resolve()
    }
    const remote = { address: '127.0.0.1', port: own.address().port }
    const socket = await openUdp({ family: 4, remote, onMessage, onError: nothing }, call)
    await new Promise((resolve) => stranger.send(Uint8Array.of(9), socket.local.port, '127.0.0.1', resolve))
    own.send(Uint8Array.of(1), socket.local.port, '127.0.0.1')
    await answered.promise
    socket.close()
    expect(heard).toEqual([1])
  })

  it('localAddressTowards finds the address for a neighbour from the interfaces and rejects for other hosts', async () => {
    withoutConnect()
    expect(await localAddressTowards('127.0.0.9', call)).toBe('127.0.0.1')
    await expect(localAddressTowards('198.51.100.1', call)).rejects.toMatchObject({ code: 'UNREACHABLE' })
  })
})
