import type { MessageStream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { describe, expect, it } from 'vitest'
import { boundedMuxer } from '../../src/bounds/muxer.js'

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
