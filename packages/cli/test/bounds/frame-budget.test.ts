import type { Connection } from '@libp2p/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createFrameBudget } from '../../src/bounds/frame-budget.js'

const limits = { ip: 100, subnet: 200, network: 400, streams: 1000 }
const small = { header: { type: 1, flag: 0, length: 0 } }
const prefixes = [
  ['a subnet', '11.7.0.1', '11.7.0.2'],
  ['a network', '11.7.0.1', '11.7.200.9'],
  ['a network of IPv6', '2a01:4f8:1::1', '2a01:4f8:ffff::9']
] as const

function scene() {
  const clock = virtualClock()
  const budget = createFrameBudget(limits, clock)
  /** Opens a connection from an address. Returns a function that sends frames and returns how long the connection is
   * then paused, in ms. */
  function connect(address: string): (frames: number) => number {
    const muxer: { handleFrame: (frame: object) => void } = { handleFrame: () => undefined }
    let pausedMs = 0
    budget.watch({ muxer } as unknown as Connection, address, (ms) => {
      pausedMs = Math.max(pausedMs, ms)
    })
    return (frames) => {
      pausedMs = 0
      for (let count = 0; count < frames; count++) muxer.handleFrame(small)
      return Math.round(pausedMs)
    }
  }
  return { clock, budget, connect }
}

describe('small frames of an address', () => {
  it('small frames of an address are processed at its rate after a burst, and the excess costs a pause', () => {
    const { budget, connect } = scene()
    const send = connect('11.7.0.1')
    expect(send(200)).toBe(0)
    expect(send(40)).toBeGreaterThanOrEqual(400)
    expect(budget.waitMs('11.7.0.1')).toBeGreaterThanOrEqual(400)
    expect(budget.waitMs('11.7.0.1')).toBeLessThan(500)
    expect(budget.waitMs('11.7.0.2')).toBe(0)
  })

  it.each(prefixes)(
    'frames beyond the share of an address cost no other address of %s anything',
    (_, hostile, other) => {
      const { budget, connect } = scene()
      // The frames that 32 connections can send before one of them is paused.
      for (let count = 0; count < 32; count++) connect(hostile)(5400)
      expect(budget.waitMs(hostile)).toBe(60_000)
      expect(connect(other)(50)).toBe(0)
    }
  )

  it.each(prefixes)(
    'leave a share to the other addresses of %s for as long as they go on',
    async (_, hostile, other) => {
      const { clock, connect } = scene()
      for (let second = 0; second < 100; second++) {
        connect(hostile)(5400)
        expect(connect(other)(20)).toBe(0)
        await clock.advance(1000)
      }
    }
  )

  it('an address keeps a share in a subnet in which many others always send', async () => {
    const { clock, connect } = scene()
    const hogs = Array.from({ length: 9 }, (_, index) => connect(`11.7.0.${index + 1}`))
    for (let second = 0; second < 30; second++) {
      for (const send of hogs) send(1000)
      await clock.advance(1000)
    }
    expect(connect('11.7.0.200')(20)).toBe(0)
  })

  it('addresses of a crowded subnet are paused longer, and together get at most about twice its rate', async () => {
    const { clock, connect } = scene()
    const hogs = Array.from({ length: 20 }, (_, index) => ({ send: connect(`11.7.0.${index + 1}`), untilMs: 0 }))
    const seconds = 200
    let frames = 0
    for (let nowMs = 0; nowMs < seconds * 1000; nowMs += 100) {
      for (const hog of hogs) {
        if (hog.untilMs > nowMs) continue
        frames += 50
        hog.untilMs = nowMs + hog.send(50)
      }
      await clock.advance(100)
    }
    expect(frames / seconds).toBeLessThan(2.2 * limits.subnet)
  })
})
