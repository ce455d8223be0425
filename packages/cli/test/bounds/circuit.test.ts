import { RELAY_V2_HOP_CODEC, RELAY_V2_STOP_CODEC } from '@libp2p/circuit-relay-v2'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { relayServer } from '@postern/relay/server'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { describe, expect, it, onTestFinished } from 'vitest'
import { boundedCircuit } from '../../src/bounds/circuit.js'
import { makeNode } from '../../src/commands/tunnel/make-node.js'
import { stack } from '../../src/shared/libp2p-stack.js'

async function open(options: Libp2pOptions): Promise<Libp2p> {
  const node = await createLibp2p({ ...stack(), connectionGater: { denyDialMultiaddr: () => false }, ...options })
  onTestFinished(async () => {
    for (const each of node.getConnections()) each.abort(new Error('the test is over'))
    await node.stop()
  })
  return node
}

const addresses = { listen: ['/ip4/127.0.0.1/tcp/0'] }
const home = (listen: readonly string[] = []): Promise<Libp2p> =>
  open({
    addresses: { listen: [...listen] },
    transports: [tcp(), boundedCircuit()],
    services: { identify: identify() }
  })

const limits = {
  reservations: { total: 8 },
  circuitEnds: { total: 64, peer: 32 },
  reservationTtlMs: 60_000,
  durationMs: 60_000,
  dataBytes: 10_000_000
}

/** Starts a relay, and a node with a reservation there. */
async function scene() {
  const relay = await open({
    addresses,
    transports: [tcp()],
    services: { identify: identify(), relay: relayServer(limits) }
  })
  const address = String(relay.getMultiaddrs()[0])
  const node = await home([`${address}/p2p-circuit`])
  const stop = async (): Promise<Stream> => {
    const [connection] = relay.getConnections(node.peerId)
    if (connection === undefined) throw new Error('the node is not connected')
    return connection.newStream(RELAY_V2_STOP_CODEC, { maxOutboundStreams: 100 })
  }
  return { relay, node, stop, through: `${address}/p2p-circuit/p2p/${node.peerId.toString()}` }
}

async function isReset(stream: Stream): Promise<void> {
  await expect.poll(() => stream.status).toBe('reset')
}

describe('a relay of a node', () => {
  it('a relayed connection carries more bytes than a request may have, in both directions', async () => {
    const { node, through } = await scene()
    const bytes = 1_000_000
    const runOnLimitedConnection = true
    await node.handle(
      '/echo',
      (stream) => {
        stream.addEventListener('message', ({ data }) => void stream.send(data))
      },
      { runOnLimitedConnection }
    )
    const caller = await home()
    const stream = await (await caller.dial(multiaddr(through))).newStream('/echo', { runOnLimitedConnection })
    let received = 0
    stream.addEventListener('message', ({ data }) => {
      received += data.byteLength
    })
    stream.send(new Uint8Array(bytes))
    await expect.poll(() => received, { timeout: 5000 }).toBe(bytes)
  })

  it('a stream of a relay that sends more than a request can have is reset', async () => {
    const { stop } = await scene()
    const stream = await stop()
    // The length announces 3.9 MB.
    stream.send(Uint8Array.of(0xe0, 0x84, 0xee, 0x01))
    stream.send(new Uint8Array(65_536))
    await isReset(stream)
  })

  it('a relay finds no place for more unfinished requests than its limit', async () => {
    const { stop } = await scene()
    const streams: Stream[] = []
    for (let count = 0; count < 33; count++) streams.push(await stop())
    await expect.poll(() => streams.filter(({ status }) => status === 'reset').length).toBe(1)
    streams.find(({ status }) => status === 'open')?.abort(new Error('changed my mind'))
    await new Promise((resolve) => setImmediate(resolve))
    const [one, another] = [await stop(), await stop()]
    await isReset(another)
    expect(one.status).toBe('open')
  })
})

describe('a relay that a node asks for a connection', () => {
  it('a stream of a relay that answers with more than an answer can have is reset', async () => {
    const relay = await open({ addresses, transports: [tcp()] })
    const asked = Promise.withResolvers<Stream>()
    await relay.handle(RELAY_V2_HOP_CODEC, (stream) => {
      asked.resolve(stream)
      stream.send(Uint8Array.of(0xe0, 0x84, 0xee, 0x01))
      stream.send(new Uint8Array(65_536))
    })
    const node = await home()
    const through = `${String(relay.getMultiaddrs()[0])}/p2p-circuit/p2p/${node.peerId.toString()}`
    const caller = await home()
    await expect(caller.dial(multiaddr(through))).rejects.toThrow('more than the messages of the protocol')
    await isReset(await asked.promise)
  })
})

describe('a node of a tunnel without reservations', () => {
  it('a node without reservations accepts STOP from no peer', async () => {
    const privateKey = await generateKeyPair('Ed25519')
    const none = { mappers: [], relays: [], witnesses: [], reserves: false, trusted: new Set<string>() }
    const node = await makeNode({ ...none, privateKey, signal: new AbortController().signal })
    onTestFinished(async () => node.stop())
    await node.start()
    const stranger = await open({ transports: [tcp()] })
    const address = node.getMultiaddrs().find((each) => each.toString().startsWith('/ip4/127.0.0.1/'))
    if (address === undefined) throw new Error('the node does not listen')
    const stream = await (await stranger.dial(address)).newStream(RELAY_V2_STOP_CODEC)
    await isReset(stream)
  })
})
