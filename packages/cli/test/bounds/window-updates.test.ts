import type { Stream, StreamMuxerFactory } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2p } from 'libp2p'
import { describe, expect, it, onTestFinished } from 'vitest'
import { boundedMuxer } from '../../src/bounds/muxer.js'
import { spareWindowUpdates } from '../../src/bounds/window-updates.js'

const protocol = '/test/count/1'
const windowUpdate = 1
const bytes = 8 * 1024 * 1024
const part = 32 * 1024

describe('spareWindowUpdates', () => {
  /** A stream of yamux with a window of 100 bytes. */
  function scene(state = 3) {
    const stream = {
      state,
      recvWindow: 100,
      recvWindowCapacity: 100,
      sent: 0,
      sendWindowUpdate() {
        stream.sent++
        stream.recvWindowCapacity = stream.recvWindow
      }
    }
    spareWindowUpdates(stream as unknown as Stream)
    return stream
  }

  it('tells the peer about a window of which half is used, and not before', () => {
    const stream = scene()
    stream.recvWindowCapacity = 51
    stream.sendWindowUpdate()
    expect(stream.sent).toBe(0)
    stream.recvWindowCapacity = 50
    stream.sendWindowUpdate()
    expect(stream.sent).toBe(1)
    stream.sendWindowUpdate()
    expect(stream.sent).toBe(1)
  })

  it.each([0, 2])('opens and accepts a stream with a window that is free (state %i)', (state) => {
    const stream = scene(state)
    stream.sendWindowUpdate()
    expect(stream.sent).toBe(1)
  })

  it('throws for another stream', () => {
    expect(() => spareWindowUpdates({} as Stream)).toThrow('not known here')
  })

  it.each([
    ['two sides that both do so', true],
    ['a side that does not', false]
  ])('sends one update for half a window, and loses no data, between %s', { timeout: 20_000 }, async (_, both) => {
    let updates = 0
    const counted = (factory: StreamMuxerFactory): StreamMuxerFactory => {
      const create = factory.createStreamMuxer.bind(factory)
      return Object.assign(factory, {
        createStreamMuxer(...call: Parameters<typeof create>) {
          const muxer = create(...call) as ReturnType<typeof create> & {
            sendFrame(header: { type: number; streamID: number }, data?: unknown): boolean
          }
          const send = muxer.sendFrame.bind(muxer)
          muxer.sendFrame = (header, data) => {
            if (header.type === windowUpdate) updates++
            return send(header, data)
          }
          return muxer
        }
      })
    }
    const bounded = boundedMuxer(yamux()) as ReturnType<typeof yamux>
    const start = async (muxer: ReturnType<typeof yamux>): Promise<Libp2p> => {
      const node = await createLibp2p({
        addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
        transports: [tcp()],
        connectionEncrypters: [noise()],
        streamMuxers: [muxer],
        connectionGater: { denyDialMultiaddr: () => false }
      })
      onTestFinished(() => node.stop())
      return node
    }
    const receiver = await start(() => counted(boundedMuxer(yamux())({})) as ReturnType<ReturnType<typeof yamux>>)
    const sender = await start(both ? bounded : yamux())

    const received = new Promise<number>((resolve) => {
      let count = 0
      void receiver.handle(protocol, (stream) => {
        stream.addEventListener('message', ({ data }) => {
          count += data.byteLength
        })
        stream.addEventListener('end', () => resolve(count))
      })
    })
    const [address] = receiver.getMultiaddrs()
    const stream = await sender.dialProtocol(address as NonNullable<typeof address>, protocol)
    for (let sent = 0; sent < bytes; sent += part) {
      if (!stream.send(new Uint8Array(part))) await stream.onDrain()
    }
    await stream.close()
    expect(await received).toBe(bytes)
    // Half of the first window of 256 KiB, and those of the protocols that libp2p itself runs.
    expect(updates).toBeLessThan(bytes / (128 * 1024) + 20)
  })
})
