import { circuitRelayTransport, RELAY_V2_HOP_CODEC, RELAY_V2_STOP_CODEC } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { afterEach, describe, expect, it } from 'vitest'
import { type RelayServer, relayServer } from '../../src/server/index.js'

const nodes: Libp2p[] = []
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop()
})

async function open<T extends Record<string, unknown>>(options: Libp2pOptions<T>): Promise<Libp2p<T>> {
  const node = await createLibp2p<T>({
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    ...options
  })
  nodes.push(node)
  return node
}

const limits = {
  reservations: { total: 8, network: 32, ip: 4 },
  circuitEnds: { total: 64, peer: 4 },
  reservationTtlMs: 60_000,
  durationMs: 1500,
  dataBytes: 65_536
}

/** Starts a relay on loopback and a node with a reservation there. Returns its relayed address. */
async function scene(): Promise<{
  readonly relay: RelayServer
  readonly server: Libp2p
  readonly target: Libp2p
  readonly address: string
  readonly through: string
}> {
  const server = await open({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionManager: { inboundConnectionThreshold: 1000 },
    services: { identify: identify(), relay: relayServer(limits) }
  })
  const address = String(server.getMultiaddrs()[0])
  const target = await client([`${address}/p2p-circuit`])
  return {
    relay: server.services.relay,
    server,
    address,
    target,
    through: `${address}/p2p-circuit/p2p/${target.peerId.toString()}`
  }
}

const client = (listen: readonly string[] = []): Promise<Libp2p> =>
  open({
    addresses: { listen: [...listen] },
    transports: [tcp(), circuitRelayTransport()],
    services: { identify: identify() }
  })

const hopStreamsOf = (node: Libp2p): number =>
  node.getConnections().flatMap(({ streams }) => streams.filter(({ protocol }) => protocol === RELAY_V2_HOP_CODEC))
    .length

const closed = (connection: Connection): Promise<void> =>
  new Promise((resolve) => connection.addEventListener('close', () => resolve()))

describe('the relay server', { timeout: 15_000 }, () => {
  it('relayServer sends the duration in seconds, and closes the connection exactly then', async () => {
    const { relay, through } = await scene()
    const began = performance.now()
    const connection = await (await client()).dial(multiaddr(through))
    expect(connection.limits?.seconds).toBe(2)
    await closed(connection)
    expect(performance.now() - began).toBeGreaterThan(1400)
    expect(performance.now() - began).toBeLessThan(5000)
    expect(relay.counters.relayed).toBeGreaterThan(0)
  })

  it('relayServer leaves places for others beside the connections of one address', async () => {
    const { relay, through } = await scene()
    for (const node of [await client(), await client()]) await node.dial(multiaddr(through))
    expect(relay.open).toBe(2)
    await expect((await client()).dial(multiaddr(through))).rejects.toThrow('RESOURCE_LIMIT_EXCEEDED')
    expect(relay.counters.unrelayed.peer).toBe(1)
  })

  it('relayServer counts an open connection at both ends until it is closed', async () => {
    const { relay, through } = await scene()
    const connection = await (await client()).dial(multiaddr(through))
    expect(relay.open).toBe(1)
    await connection.close()
    await expect.poll(() => relay.open).toBe(0)
  })

  it('relayServer refuses reservations of an address beyond its limit, and reuses a free place', async () => {
    const { relay, target, address } = await scene()
    const listen = [`${address}/p2p-circuit`]
    for (let index = 0; index < 3; index++) await client(listen)
    await expect(client(listen)).rejects.toThrow('RESERVATION_REFUSED')
    expect({ live: relay.reservations, refused: relay.counters.refused.ip }).toEqual({ live: 4, refused: 1 })
    await target.stop()
    await expect.poll(() => relay.reservations).toBe(3)
    await client(listen)
    expect(relay.reservations).toBe(4)
  })

  it('isUsing is true only for the connection of a reservation and the ends of a relayed connection', async () => {
    const { relay, server, target, through, address } = await scene()
    const idle = await client()
    await idle.dial(multiaddr(address))
    const caller = await client()
    await caller.dial(multiaddr(through))
    const isUsing = (peer: Libp2p): readonly boolean[] =>
      server.getConnections(peer.peerId).map((each) => relay.isUsing(each))
    await expect.poll(() => [target, caller, idle].map(isUsing)).toEqual([[true], [true], [false]])
  })

  it('relayServer reads at most the size of a message of a request', async () => {
    const { address } = await scene()
    const connection = await (await client()).dial(multiaddr(address))
    const stream = await connection.newStream(RELAY_V2_HOP_CODEC)
    const ended = new Promise<void>((resolve) => stream.addEventListener('close', () => resolve()))
    // The length announces 3.9 MB.
    stream.send(Uint8Array.of(0xe0, 0x84, 0xee, 0x01))
    stream.send(new Uint8Array(65_536))
    await ended
    expect(stream.status).toBe('reset')
  })

  it('relayServer ends a reservation with the connection', async () => {
    const { relay, target } = await scene()
    expect({ live: relay.reservations, given: relay.counters.reservations }).toEqual({ live: 1, given: 1 })
    await target.stop()
    await expect.poll(() => relay.reservations).toBe(0)
  })

  describe('relayServer with a far end', () => {
    const accept = Uint8Array.of(8, 1, 32, 100)
    const refuse = Uint8Array.of(8, 1, 32, 0xca, 1)
    const say = (stream: Stream, message: Uint8Array): void =>
      void stream.send(Uint8Array.of(message.length, ...message))

    /** Starts a node with a reservation that answers STOP as given, and requests a circuit to it. */
    async function asked(answer: (stream: Stream, near: Stream) => Promise<void> | void) {
      const { relay, server, address } = await scene()
      const far = await open({ transports: [tcp()] })
      const near = await open({ transports: [tcp()] })
      const stops: Stream[] = []
      const held: { near?: Stream } = {}
      await far.handle(RELAY_V2_STOP_CODEC, async (stream) => {
        stops.push(stream)
        if (held.near !== undefined) await answer(stream, held.near)
      })
      const place = await (await far.dial(multiaddr(address))).newStream(RELAY_V2_HOP_CODEC)
      say(place, Uint8Array.of(8, 0))
      await expect.poll(() => relay.reservations).toBe(2)
      held.near = await (await near.dial(multiaddr(address))).newStream(RELAY_V2_HOP_CODEC)
      const id = far.peerId.toMultihash().bytes
      const request = Uint8Array.of(8, 1, 18, id.length + 2, 10, id.length, ...id)
      say(held.near, request)
      return { relay, server, stops, near: held.near }
    }

    it('a far end that sends more than an answer can have gets its stream reset', async () => {
      const { relay, stops } = await asked((stream) => {
        // The length announces 3.9 MB.
        stream.send(Uint8Array.of(0xe0, 0x84, 0xee, 0x01))
        stream.send(new Uint8Array(65_536))
      })
      await expect.poll(() => stops.map(({ status }) => status)).toEqual(['reset'])
      await expect.poll(() => relay.open).toBe(0)
    })

    it('a far end that refuses gets its stream reset', async () => {
      const { relay, stops } = await asked((stream) => say(stream, refuse))
      await expect.poll(() => stops.map(({ status }) => status)).toEqual(['reset'])
      await expect.poll(() => relay.open).toBe(0)
    })

    it('a far end that accepts after the near end has gone gets its stream reset', async () => {
      const { relay, server, stops } = await asked(async (stream, near) => {
        near.abort(new Error('changed my mind'))
        await expect.poll(() => hopStreamsOf(server)).toBe(1)
        say(stream, accept)
      })
      await expect.poll(() => stops.map(({ status }) => status)).toEqual(['reset'])
      await expect.poll(() => relay.open).toBe(0)
    })

    it('a far end that holds its stream open keeps the place of the circuit', async () => {
      const { relay, near, stops } = await asked((stream) => say(stream, accept))
      await expect.poll(() => relay.counters.relayed).toBe(1)
      await near.close()
      await expect.poll(() => stops.map(({ remoteWriteStatus }) => remoteWriteStatus)).toEqual(['closed'])
      expect(relay.open).toBe(1)
      await stops[0]?.close()
      await expect.poll(() => relay.open).toBe(0)
    })
  })
})
