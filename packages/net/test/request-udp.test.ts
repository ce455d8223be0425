import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Clock, NatError } from '@postern/interface'
import { afterEach, describe, expect, it } from 'vitest'
import { localAddressTowards, openUdp, requestUdp, type UdpRequest } from '../src/index.js'

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
  for (const peer of peers) peer.close()
  peers.clear()
})

/** A peer on loopback that answers each datagram, by its number, with what it is told. */
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

describe('a request over UDP', () => {
  it('is sent again until it is answered, and passes over what answers something else', async () => {
    const { port, heard } = await peer((count) =>
      count < 3 ? [Uint8Array.of(9)] : [Uint8Array.of(8), Uint8Array.of(7)]
    )
    expect(await requestUdp(request(port), call)).toBe(7)
    expect(heard()).toBe(3)
  })

  it('ends with NO_REPLY after its last wait', async () => {
    const { port, heard } = await peer(() => [])
    await expect(requestUdp(request(port, { waitsMs: [5, 10] }), call)).rejects.toMatchObject({ code: 'NO_REPLY' })
    expect(heard()).toBe(2)
  })

  it('ends at once with REFUSED when the port is closed', async () => {
    const { port } = await peer(() => [])
    for (const socket of peers) socket.close()
    peers.clear()
    await expect(requestUdp(request(port, { waitsMs: [60_000] }), call)).rejects.toMatchObject({ code: 'REFUSED' })
  })

  it('does not hear anybody but its peer', async () => {
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

  it('goes on after a malformed answer, and says so if nothing better comes', async () => {
    const { port } = await peer(() => [Uint8Array.of(6)])
    const match = (): undefined => {
      throw Object.assign(new Error('bad'), { code: 'MALFORMED_REPLY' })
    }
    await expect(requestUdp(request(port, { waitsMs: [5, 20], match }), call)).rejects.toMatchObject({
      code: 'MALFORMED_REPLY'
    })
  })

  it('ends with what its peer said against it', async () => {
    const { port } = await peer(() => [Uint8Array.of(6)])
    const match = (): never => {
      throw Object.assign(new Error('no'), { code: 'NOT_AUTHORIZED' })
    }
    await expect(requestUdp(request(port, { match }), call)).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
  })

  it('ends with the reason of its signal, before and while it runs', async () => {
    const { port, heard } = await peer(() => [])
    await expect(requestUdp(request(port), { signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow('early')
    expect(heard()).toBe(0)
    const abort = new AbortController()
    const running = requestUdp(request(port), abort)
    abort.abort(new Error('late'))
    await expect(running).rejects.toThrow('late')
  })

  it('leaves no socket and no timer, a thousand times', async () => {
    const { port } = await peer(() => [Uint8Array.of(7)])
    const before = process.getActiveResourcesInfo().length
    for (let count = 0; count < 1000; count++) await requestUdp(request(port), call)
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before + 1)
  })
})

describe('a UDP socket', () => {
  it('cannot have a port that is taken', async () => {
    const { port } = await peer(() => [])
    const options = { family: 4, local: { address: '127.0.0.1', port }, onMessage: nothing, onError: nothing } as const
    await expect(openUdp(options, call)).rejects.toMatchObject({ code: 'PORT_TAKEN' })
  })

  it('tells a fault in the handler of a datagram as an error, and stays open', async () => {
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

  it('closes with its signal', async () => {
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
  it('is our side of the way', async () => {
    expect(await localAddressTowards('127.0.0.2', call)).toBe('127.0.0.1')
    await expect(localAddressTowards('router', call)).rejects.toThrow(TypeError)
  })
})
