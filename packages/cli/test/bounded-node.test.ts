import type { MessageStream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { describe, expect, it, onTestFinished } from 'vitest'
import { boundedMuxer } from '../src/bounds/muxer.js'
import { boundedPing } from '../src/bounds/ping.js'
import { stack } from '../src/shared/libp2p-stack.js'

const [data, windowUpdate, pingFrame] = [0, 1, 2]

describe('boundedMuxer with a peer that does not read', () => {
  function scene(): {
    readonly send: (type: number) => void
    readonly sent: number[]
    readonly aborted: () => number
    isFull: boolean
  } {
    const sent: number[] = []
    let aborted = 0
    const state = { isFull: false }
    const connection = {
      get writableNeedsDrain() {
        return state.isFull
      },
      abort: () => aborted++
    } as unknown as MessageStream
    const muxer = {
      sendFrame: ({ type }: { type: number }) => sent.push(type) > 0,
      createStream: () => undefined,
      onRemoteStream: () => undefined
    }
    const factory = {
      protocol: '/yamux/1.0.0',
      createStreamMuxer: () => muxer as unknown as StreamMuxer
    } satisfies StreamMuxerFactory
    boundedMuxer(() => factory)({}).createStreamMuxer(connection)
    return Object.assign(state, {
      sent,
      aborted: () => aborted,
      send: (type: number) => void muxer.sendFrame({ type })
    })
  }

  it('boundedMuxer answers no pings but sends data while the connection is full', () => {
    const each = scene()
    each.send(pingFrame)
    each.isFull = true
    for (const type of [pingFrame, data, windowUpdate]) each.send(type)
    each.isFull = false
    each.send(pingFrame)
    expect(each.sent).toEqual([pingFrame, data, windowUpdate, pingFrame])
    expect(each.aborted()).toBe(0)
  })

  it('boundedMuxer closes the connection after a thousand other frames in a row', () => {
    const each = scene()
    each.isFull = true
    for (let count = 0; count < 1024; count++) each.send(windowUpdate)
    each.isFull = false
    each.send(data)
    each.isFull = true
    for (let count = 0; count < 1024; count++) each.send(windowUpdate)
    expect(each.aborted()).toBe(0)
    each.send(windowUpdate)
    expect(each.aborted()).toBe(1)
  })

  it('boundedMuxer throws for an unknown muxer', () => {
    const factory = { protocol: '/other', createStreamMuxer: () => ({}) as StreamMuxer }
    expect(() => boundedMuxer(() => factory)({}).createStreamMuxer({} as MessageStream)).toThrow('not known here')
  })
})

describe('pings', () => {
  const open = async () => {
    const node = await createLibp2p({
      ...stack({ maxStreamWindowBytes: 256 * 1024 }),
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionGater: { denyDialMultiaddr: () => false },
      connectionMonitor: { enabled: false },
      services: { ping: boundedPing() }
    })
    onTestFinished(async () => {
      for (const each of node.getConnections()) each.abort(new Error('the test is over'))
      await node.stop()
    })
    return node
  }

  it('boundedPing answers pings, and unread answers do not fill the memory', async () => {
    const [server, client] = await Promise.all([open(), open()])
    const connection = await client.dial(server.getMultiaddrs())
    expect(await client.services.ping.ping(server.peerId)).toBeGreaterThanOrEqual(0)

    const stream = await connection.newStream('/ipfs/ping/1.0.0')
    stream.pause()
    const total = 4 * 1024 * 1024
    for (let sent = 0; sent < total; sent += 1024) stream.send(new Uint8Array(1024))
    const kept = (): number =>
      server
        .getConnections()
        .flatMap(({ streams }) => streams)
        .reduce((sum, { readBufferLength, writeBufferLength }) => sum + readBufferLength + writeBufferLength, 0)
    let maxKept = 0
    for (let still = 0, before = -1; still < 100; still++) {
      if (before !== stream.writeBufferLength) [still, before] = [0, stream.writeBufferLength]
      await new Promise((go) => setImmediate(go))
      maxKept = Math.max(maxKept, kept())
    }
    expect(stream.writeBufferLength).toBeGreaterThan(total / 2)
    expect(maxKept).toBeLessThanOrEqual(2 * 256 * 1024)
  })
})
