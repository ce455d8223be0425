import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { isNotice } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createBudget } from '../src/budget.js'
import { dcutrProtocol } from '../src/codec.js'
import type { Context } from '../src/context.js'
import { createInbox } from '../src/inbox.js'
import { letRelayGo } from '../src/settle.js'
import { type Connect, systemConnect } from '../src/sockets.js'
import { dialAnnounced } from '../src/unilateral.js'
import { dialDirectly, dialThrough, hostOf, type Search, search, trio } from './nodes.js'

const states = (looking: Search, peer: string): readonly string[] =>
  looking.findings.flatMap((each) =>
    isNotice(each) && each.what === 'upgrade' && each.peer === peer ? [each.state] : []
  )

describe('two peers that dial each other through the relay', () => {
  it('at the same time agree all the same', { timeout: 20_000 }, async () => {
    const { relay, ours, other } = await trio()
    const [here, there] = [search(ours), search(other)]
    await Promise.all([here.puncher(), there.puncher()])
    await Promise.all([dialThrough(relay, ours, other), dialThrough(relay, other, ours)])
    // On loopback neither has an address that may be dialled. Whoever waited for the other in vain would say `timeout`.
    expect((await here.news('failed')).cause).toBe('no-targets')
    expect((await there.news('failed')).cause).toBe('no-targets')
  })
})

describe('more peers than may be punched for', () => {
  it('have their turn when there is a place', async () => {
    const { relay, ours, other } = await trio()
    const third = await trio()
    const looking = search(ours, { mostPeers: 1 })
    await looking.puncher()
    await dialThrough(relay, other, ours)
    await dialThrough(relay, third.other, ours)
    await expect.poll(() => states(looking, third.other.id), { timeout: 10_000 }).toContain('relayed')
    expect(states(looking, other.id)).toContain('failed')
  })
})

describe('a peer', () => {
  it('whose direct connections keep ending is left alone for half a minute', async () => {
    const { relay, ours, other } = await trio()
    const clock = virtualClock()
    const looking = search(ours, {}, clock)
    await looking.puncher()
    const begun = (): number => states(looking, other.id).filter((each) => each === 'relayed').length
    const direct = await dialDirectly(ours, other)
    await dialThrough(relay, other, ours)
    direct.abort(new Error('pruned'))
    await expect.poll(begun).toBe(1)
    await expect
      .poll(async () => (await clock.advance(1000), states(looking, other.id)), { interval: 10 })
      .toContain('failed')
    const again = await dialDirectly(ours, other)
    await expect.poll(() => states(looking, other.id)).toContain('direct')
    again.abort(new Error('pruned'))
    await expect.poll(() => ours.libp2p.getConnections(other.libp2p.peerId).length).toBe(1)
    await clock.advance(5000)
    expect(begun()).toBe(1)
    await clock.advance(35_000)
    await expect.poll(begun).toBe(2)
  })

  it('whose direct connection had lasted is punched for at once when that has ended', async () => {
    const { relay, ours, other } = await trio()
    const clock = virtualClock()
    const looking = search(ours, {}, clock)
    await looking.puncher()
    const begun = (): number => states(looking, other.id).filter((each) => each === 'relayed').length
    await dialThrough(relay, other, ours)
    await expect.poll(begun).toBe(1)
    const direct = await dialDirectly(ours, other)
    await expect.poll(() => states(looking, other.id)).toContain('direct')
    await clock.advance(5000)
    // The relayed one has been let go by then, or is about to be: the peer comes again.
    direct.abort(new Error('the laptop sleeps'))
    await dialThrough(relay, other, ours)
    await expect.poll(begun).toBe(2)
  })

  it('that comes through the relay while its direct connection is silent has that ended, and is punched for', async () => {
    const { relay, ours, other } = await trio()
    const clock = virtualClock()
    const looking = search(ours, {}, clock)
    await looking.puncher()
    const direct = await dialDirectly(ours, other)
    direct.newStream = () => new Promise(() => undefined)
    await dialThrough(relay, other, ours)
    await expect.poll(() => ours.libp2p.getConnections(other.libp2p.peerId).length).toBe(2)
    await clock.advance(4999)
    expect({ status: direct.status, states: states(looking, other.id) }).toEqual({ status: 'open', states: [] })
    await clock.advance(1)
    await expect.poll(() => states(looking, other.id)).toContain('relayed')
    expect(direct.status).not.toBe('open')
  })

  it('that fails at once has no port shown for it afterwards', async () => {
    const { relay, ours, other } = await trio()
    const clock = virtualClock()
    let dialled = 0
    const connect: Connect = (options) => {
      dialled++
      return systemConnect(options)
    }
    const looking = search(ours, { connect }, clock)
    await looking.puncher()
    await dialThrough(relay, other, ours)
    await expect.poll(() => dialled).toBe(1)
    await expect.poll(() => other.libp2p.getConnections(relay.libp2p.peerId).length).toBeGreaterThan(0)
    await expect
      .poll(async () => (await clock.advance(100), states(looking, other.id)), { interval: 10 })
      .toContain('failed')
    await clock.advance(10_000)
    expect(dialled).toBe(1)
    await expect.poll(() => ours.libp2p.getConnections(relay.libp2p.peerId).length).toBe(1)
  })
})

describe('an announced address', () => {
  const peerOf = async (): Promise<{ readonly peer: PeerId; readonly stranger: PeerId }> => {
    const { ours, other } = await trio()
    return { peer: ours.libp2p.peerId, stranger: other.libp2p.peerId }
  }

  it('is dialled unless it is somebody else’s, who is hung up where he answers', async () => {
    const { peer, stranger } = await peerOf()
    const dialled: string[] = []
    let ended = 0
    const addresses = [
      '/ip4/21.0.0.1/tcp/1',
      `/ip4/31.0.0.1/tcp/2/p2p/${stranger.toString()}`,
      `/ip4/41.0.0.1/tcp/3/p2p/${peer.toString()}`
    ]
    const components = {
      events: new EventTarget(),
      peerStore: { get: async () => ({ addresses: addresses.map((each) => ({ multiaddr: multiaddr(each) })) }) },
      connectionManager: {
        openConnection: async (all: readonly unknown[]) => {
          dialled.push(...all.map(String))
          return { remotePeer: stranger, abort: () => ended++ }
        }
      }
    } as unknown as Context['host']['components']
    const cut = new AbortController()
    const budget = createBudget(virtualClock(), { perAddress: 1, perNetwork: 1, inAll: 2 })
    const dial = (): Promise<Connection> => dialAnnounced(hostOf(components), peer, () => new Set(), budget, cut, cut)
    await expect(dial()).rejects.toThrow('somebody else has the announced address')
    expect({ dialled, ended }).toEqual({ dialled: ['/ip4/21.0.0.1/tcp/1', '/ip4/41.0.0.1/tcp/3'], ended: 1 })
    // Of the bounds on what others can have this node dial nothing is left.
    await expect(dial()).rejects.toMatchObject({ code: 'NO_SERVICE' })
    expect(dialled).toHaveLength(2)
  })
})

describe('an inbox of streams', () => {
  const stream = (reset: string[], name: string): Stream =>
    ({ abort: (error: Error) => void reset.push(`${name}: ${error.message}`) }) as unknown as Stream

  it('gives them to whoever still waits, keeps one, and resets the others', async () => {
    const reset: string[] = []
    const inbox = createInbox()
    const gone = new AbortController()
    const waiting = inbox.take(gone)
    gone.abort(new Error('no time'))
    await expect(waiting).rejects.toThrow('no time')
    const [one, two, three] = ['one', 'two', 'three'].map((name) => stream(reset, name))
    if (one === undefined || two === undefined || three === undefined) throw new Error('no streams')
    inbox.put(one)
    inbox.put(two)
    expect(await inbox.take(new AbortController())).toBe(one)
    inbox.put(three)
    inbox.end()
    inbox.put(one)
    expect(reset).toEqual(['two: one round after the other', 'three: it is over', 'one: it is over'])
  })
})

describe('a new search on another network', () => {
  it('serves the protocol, and goes on to when the one before it ends', async () => {
    const { ours } = await trio()
    const before = search(ours)
    await before.puncher()
    const after = search(ours)
    await after.puncher()
    await before.stop()
    expect(ours.components.registrar.getProtocols()).toContain(dcutrProtocol)
    expect(after.lines).toEqual([])
    await after.stop()
    expect(ours.components.registrar.getProtocols()).not.toContain(dcutrProtocol)
  })

  it('begins while it is not known whether a direct connection carries anything', async () => {
    const clock = virtualClock()
    const components = { events: new EventTarget(), connectionManager: { getConnections: () => [] } }
    const host = hostOf(components as unknown as Context['host']['components'], clock)
    const silent = { newStream: () => new Promise(() => undefined) } as unknown as Connection
    const cut = new AbortController()
    const letting = letRelayGo({ host, settings: { graceMs: 5000 } } as unknown as Context, silent, cut)
    cut.abort(new Error('another network'))
    // A part of it that rejected with nobody to hear would end the process.
    await expect(letting).rejects.toThrow('another network')
    expect(clock.pending).toBe(0)
  })
})
