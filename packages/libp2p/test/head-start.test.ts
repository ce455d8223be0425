import type { Libp2pEvents, TypedEventTarget } from '@libp2p/interface'
import type { Discovery, Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createHeadStart } from '../src/head-start.js'
import type { Libp2pHost } from '../src/host.js'

const headStartMs = 100

interface Scene {
  readonly clock: ReturnType<typeof virtualClock>
  readonly stopping: AbortController
  /** Connects to the relay that a strategy was given. */
  readonly connect: () => void
  /** The transport listens at these addresses. */
  readonly listen: (...addresses: readonly string[]) => void
  readonly isStarted: () => boolean
  readonly isSearching: (kind: Discovery['kind']) => Promise<boolean>
}

/** A head start that has begun, of a node with or without a configured relay. */
function scene(hasRelay = true): Scene {
  const clock = virtualClock()
  const events = new EventTarget()
  const stopping = new AbortController()
  const headStart = createHeadStart({ events: events as TypedEventTarget<Libp2pEvents> }, clock)
  const { promise: connected, resolve: connect } = Promise.withResolvers<void>()
  if (hasRelay) headStart.add(async () => connected)
  let isStarted = false
  void headStart.begin(stopping).then(() => {
    isStarted = true
  })
  return {
    clock,
    stopping,
    connect,
    listen: (...addresses) =>
      void events.dispatchEvent(new CustomEvent('transport:listening', { detail: { getAddrs: () => addresses } })),
    isStarted: () => isStarted,
    async isSearching(kind) {
      let isSearching = false
      const strategy: Strategy<Libp2pHost> = () => ({
        name: 'one',
        ...(kind === undefined ? {} : { kind }),
        discover: async () => {
          isSearching = true
        }
      })
      const { discover } = headStart.holdBack(strategy)({} as Libp2pHost)
      void discover({ gateways: [], addresses: [] }, () => undefined, stopping)
      await clock.advance(0)
      return isSearching
    }
  }
}

describe('the head start of configured relays', () => {
  it('a node without configured relays starts and searches at once', async () => {
    const { clock, isStarted, isSearching } = scene(false)
    await clock.advance(0)
    expect(isStarted()).toBe(true)
    expect(await isSearching('mapper')).toBe(true)
    expect(clock.pending).toBe(0)
  })

  it('the traversal starts when a relay is connected, and looks for relays at once', async () => {
    const { clock, connect, isStarted, isSearching } = scene()
    await clock.advance(headStartMs - 1)
    expect(isStarted()).toBe(false)
    connect()
    await clock.advance(0)
    expect(isStarted()).toBe(true)
    expect(await isSearching('relay')).toBe(true)
    expect(await isSearching('mapper')).toBe(false)
  })

  it('routers and witnesses are asked after the first relayed address', async () => {
    const { clock, connect, listen, isSearching } = scene()
    connect()
    listen('/ip4/192.168.1.2/tcp/4001')
    await clock.advance(1)
    expect(await isSearching('mapper')).toBe(false)
    listen('/ip4/21.0.0.1/tcp/4001/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC/p2p-circuit')
    expect(await isSearching('mapper')).toBe(true)
    expect(clock.pending).toBe(0)
  })

  it('nothing waits for a relay for more than 100 ms', async () => {
    const { clock, isStarted, isSearching } = scene()
    await clock.advance(headStartMs)
    expect(isStarted()).toBe(true)
    expect(await isSearching('mapper')).toBe(true)
  })

  it('a strategy that fails does not keep the traversal from starting', async () => {
    const clock = virtualClock()
    const headStart = createHeadStart({ events: new EventTarget() as TypedEventTarget<Libp2pEvents> }, clock)
    headStart.add(async () => Promise.reject(new Error('no')))
    await headStart.begin(new AbortController())
  })

  it('a node that stops ends the wait', async () => {
    const { clock, stopping, isStarted } = scene()
    stopping.abort()
    await clock.advance(0)
    expect(isStarted()).toBe(true)
    expect(clock.pending).toBe(0)
  })

  it('a strategy that throws does not keep the traversal from starting', async () => {
    const headStart = createHeadStart({ events: new EventTarget() as TypedEventTarget<Libp2pEvents> }, virtualClock())
    headStart.add(() => {
      throw new Error('a fault')
    })
    await headStart.begin(new AbortController())
  })
})
