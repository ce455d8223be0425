import type { Connection } from '@libp2p/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it, onTestFinished } from 'vitest'
import { holdConnection, type KeepConnectedOptions, keepConnected } from '../src/index.js'

/** A connection that the test closes, and a peer store that records the tags. */
function setUp() {
  const tags: unknown[] = []
  const made = Object.assign(new EventTarget(), { status: 'open', remotePeer: 'peer' })
  const connection = made as unknown as Connection
  const peerStore = {
    async merge(_peer: unknown, { tags: tag }: { tags?: unknown }) {
      tags.push(tag)
      return {} as never
    }
  }
  const close = (): void => {
    Object.assign(made, { status: 'closed' })
    made.dispatchEvent(new Event('close'))
  }
  return { connection, peerStore, tags, close }
}

/** Runs keepConnected on a virtual clock. Every attempt fails unless the options say otherwise. */
function keep(options: Partial<KeepConnectedOptions> = {}) {
  const clock = virtualClock()
  const ended = new AbortController()
  onTestFinished(() => ended.abort())
  const attempts: number[] = []
  const failed: unknown[] = []
  const { connect = async () => await Promise.reject(new Error('unreachable')), ...others } = options
  const kept = keepConnected({
    clock,
    signal: ended.signal,
    connectMs: 1000,
    hold: () => clock.sleep(100, { signal: ended.signal }),
    delayMs: (failures) => 1000 * failures,
    onFailed: (_error, delayMs) => failed.push(delayMs),
    ...others,
    connect(call) {
      attempts.push(clock.monotonicMs())
      return connect(call)
    }
  })
  return { clock, ended, attempts, failed, kept }
}

describe('keepConnected', () => {
  it('keepConnected repeats a failed attempt after the delay of its failures', async () => {
    const { clock, attempts, failed } = keep()
    await clock.advance(6000)
    expect(attempts).toEqual([0, 1000, 3000, 6000])
    expect(failed).toEqual([1000, 2000, 3000, 4000])
  })

  it('keepConnected spreads the delays by a fifth in both directions', async () => {
    for (const [random, dueMs] of [
      [0, 800],
      [1, 1200]
    ] as const) {
      const { clock, attempts } = keep({ random: () => random })
      await clock.advance(dueMs - 1)
      expect(attempts).toEqual([0])
      await clock.advance(2)
      expect(attempts.map((each) => Math.round(each))).toEqual([0, dueMs])
    }
  })

  it('keepConnected connects again at once after a loss, and counts a short connection as a failure', async () => {
    const { connection } = setUp()
    const steady = keep({ connect: async () => connection, minHeldMs: 100 })
    await steady.clock.advance(200)
    expect(steady.attempts).toEqual([0, 100, 200])
    const short = keep({ connect: async () => connection, minHeldMs: 101 })
    await short.clock.advance(3200)
    expect(short.attempts).toEqual([0, 1100, 3200])
  })

  it('keepConnected gives up an attempt that takes too long', async () => {
    const reasons: unknown[] = []
    const { clock, attempts } = keep({
      connect: ({ signal }) =>
        new Promise(() => signal.addEventListener('abort', () => reasons.push(signal.reason), { once: true }))
    })
    await clock.advance(2000)
    expect(attempts).toEqual([0, 2000])
    expect(reasons).toMatchObject([{ code: 'NO_REPLY' }])
  })

  it('keepConnected resolves with the abort, and reports neither a loss nor a failure', async () => {
    const { connection } = setUp()
    const lost: string[] = []
    const { clock, ended, kept, failed } = keep({ connect: async () => connection, onLost: () => lost.push('lost') })
    await clock.advance(50)
    ended.abort()
    await kept
    expect([lost, failed, clock.pending]).toEqual([[], [], 0])
  })
})

describe('holdConnection', () => {
  const { signal } = new AbortController()

  it('holdConnection tags the peer until the connection closes', async () => {
    const { connection, peerStore, tags, close } = setUp()
    const held = holdConnection(peerStore, 'tag', connection, { signal })
    await Promise.resolve()
    expect(tags).toEqual([{ tag: { value: 50 } }])
    close()
    await held
    expect(tags).toEqual([{ tag: { value: 50 } }, { tag: undefined }])
  })

  it('holdConnection resolves for a connection that closed meanwhile', async () => {
    const { connection, peerStore, close } = setUp()
    const held = holdConnection(peerStore, 'tag', connection, { signal })
    close()
    await held
  })

  it('holdConnection rejects with the abort, and removes the tag', async () => {
    const { connection, peerStore, tags } = setUp()
    const ended = new AbortController()
    const held = holdConnection(peerStore, 'tag', connection, ended)
    ended.abort(new Error('enough'))
    await expect(held).rejects.toThrow('enough')
    expect(tags.at(-1)).toEqual({ tag: undefined })
  })
})
