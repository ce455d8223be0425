import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { describe, expect, it, onTestFinished } from 'vitest'
import { joinStreams } from '../../src/server/join-streams.js'

/** The receive window of a stream. */
const windowBytes = 1024 * 1024

/** Starts a real node on loopback, until the test ends. */
async function startNode(): Promise<Libp2p> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: windowBytes } })],
    connectionMonitor: { enabled: false },
    connectionGater: { denyDialMultiaddr: () => false }
  })
  onTestFinished(async () => {
    // Stopping waits half a second for open streams.
    for (const each of node.getConnections()) each.abort(new Error('the test is over'))
    await node.stop()
  })
  return node
}

/** Resolves when a stream has ended; to true if it was reset. */
const isReset = (stream: Stream): Promise<boolean> =>
  new Promise((resolve) => {
    if (stream.status !== 'open') return resolve(stream.status === 'reset' || stream.status === 'aborted')
    stream.addEventListener('close', ({ error }) => resolve(error !== undefined))
  })

const chunk = new Uint8Array(64 * 1024).fill(7)

/** Two peers, and the two streams of one circuit between them. */
async function circuit(maxBytes?: number): Promise<{
  readonly one: Stream
  readonly other: Stream
  readonly near: Stream
  readonly far: Stream
  readonly ended: Promise<void>
}> {
  const [relay, from, to] = await Promise.all([startNode(), startNode(), startNode()])
  const [one, near] = await streamBetween(from, relay)
  const [far, other] = await streamBetween(relay, to)
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  joinStreams(near, far, { maxBytes, moved: () => undefined, ended: resolve })
  return { one, other, near, far, ended }
}

async function streamBetween(from: Libp2p, to: Libp2p): Promise<readonly [Stream, Stream]> {
  const { promise: inbound, resolve } = Promise.withResolvers<Stream>()
  await to.handle('/test/circuit', (stream) => {
    stream.pause()
    resolve(stream)
  })
  const connection: Connection = await from.dial(to.getMultiaddrs())
  const outbound = await connection.newStream('/test/circuit')
  return [outbound, await inbound]
}

const count = (stream: Stream): { bytes: number } => {
  const read = { bytes: 0 }
  stream.addEventListener('message', ({ data }) => (read.bytes += data.byteLength))
  if (stream.readStatus === 'paused') stream.resume()
  return read
}

const ends = (stream: Stream): Promise<void> =>
  new Promise((resolve) => stream.addEventListener('end', () => resolve(), { once: true }))

describe('two streams that are joined', () => {
  it('joinStreams carries everything in both directions, including each end', async () => {
    const { one, other, ended } = await circuit()
    const [atOne, atOther] = [count(one), count(other)]
    const [oneEnds, otherEnds] = [ends(one), ends(other)]
    for (let sent = 0; sent < 64; sent++) one.send(chunk)
    await one.close()
    await otherEnds
    expect(atOther.bytes).toBe(64 * chunk.byteLength)
    other.send(chunk)
    await other.close()
    await oneEnds
    expect(atOne.bytes).toBe(chunk.byteLength)
    await ended
  })

  it('joinStreams keeps a window for a far end that does not read, and delivers everything when it does', async () => {
    const { one, other, near, far } = await circuit()
    const whole = 16 * windowBytes
    for (let sent = 0; sent < whole; sent += chunk.byteLength) one.send(chunk)
    for (let still = 0, before = -1; still < 100; still++) {
      if (before !== one.writeBufferLength) [still, before] = [0, one.writeBufferLength]
      await new Promise((go) => setImmediate(go))
    }
    expect(near.readBufferLength + far.writeBufferLength).toBeLessThanOrEqual(2 * windowBytes)
    expect(one.writeBufferLength).toBeGreaterThan(whole / 2)

    const closed = one.close()
    const [atOther, otherEnds] = [count(other), ends(other)]
    await otherEnds
    expect(atOther.bytes).toBe(whole)
    await closed
  })

  it('joinStreams resets both streams beyond maxBytes, or if one is reset', async () => {
    for (const maxBytes of [3 * chunk.byteLength - 1, undefined]) {
      const { one, other, ended } = await circuit(maxBytes)
      const resets = [isReset(one), isReset(other)]
      count(one)
      const atOther = count(other)
      one.send(chunk)
      other.send(chunk)
      if (maxBytes === undefined) other.abort(new Error('no more'))
      else one.send(chunk)
      expect(await Promise.all(resets)).toEqual([true, true])
      expect(atOther.bytes).toBeLessThanOrEqual(2 * chunk.byteLength)
      await ended
    }
  })
})
