import type { Connection } from '@libp2p/interface'
import { isNotice } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import type { Context } from '../src/context.js'
import { dcutrProtocol } from '../src/dcutr/codec.js'
import { type Connect, systemConnect } from '../src/dial/tcp-dial.js'
import type { HolePunchOptions } from '../src/options.js'
import { closeRelayed } from '../src/upgrade/close-relayed-connections.js'
import { dialDirectly, dialThrough, hostOf, type Search, search, trio } from './nodes.js'

const states = (looking: Search, peer: string): readonly string[] =>
  looking.findings.flatMap((each) =>
    isNotice(each) && each.what === 'upgrade' && each.peer === peer ? [each.state] : []
  )

/** Starts a search of our node on a virtual clock, and collects the states of the other node. */
async function watched(options: HolePunchOptions = {}) {
  const { relay, ours, other } = await trio()
  const clock = virtualClock()
  const looking = search(ours, options, clock)
  await looking.puncher()
  const told = (): readonly string[] => states(looking, other.id)
  const begun = (): number => told().filter((each) => each === 'relayed').length
  return { relay, ours, other, clock, told, begun }
}

describe('two peers that dial each other through the relay', () => {
  it('two peers that dial each other at the same time agree on the rounds', { timeout: 20_000 }, async () => {
    const { relay, ours, other } = await trio()
    const [here, there] = [search(ours), search(other)]
    await Promise.all([here.puncher(), there.puncher()])
    await Promise.all([dialThrough(relay, ours, other), dialThrough(relay, other, ours)])
    // On loopback, neither peer has an address that may be dialled. A side that waited in vain would report `timeout`.
    expect((await here.news('failed')).cause).toBe('no-targets')
    expect((await there.news('failed')).cause).toBe('no-targets')
  })
})

describe('more peers than the limit of concurrent punches', () => {
  it('waiting peers are punched for when the limit allows it', async () => {
    const { relay, ours, other } = await trio()
    const third = await trio()
    const looking = search(ours, { maxPeers: 1 })
    await looking.puncher()
    await dialThrough(relay, other, ours)
    await dialThrough(relay, third.other, ours)
    await expect.poll(() => states(looking, third.other.id), { timeout: 10_000 }).toContain('relayed')
    expect(states(looking, other.id)).toContain('failed')
  })
})

describe('a peer', () => {
  it('a peer with short direct connections is not punched for again for half a minute', async () => {
    const { relay, ours, other, clock, told, begun } = await watched()
    const direct = await dialDirectly(ours, other)
    await dialThrough(relay, other, ours)
    direct.abort(new Error('pruned'))
    await expect.poll(begun).toBe(1)
    await expect.poll(async () => (await clock.advance(1000), told()), { interval: 10 }).toContain('failed')
    const again = await dialDirectly(ours, other)
    await expect.poll(told).toContain('direct')
    again.abort(new Error('pruned'))
    await expect.poll(() => ours.libp2p.getConnections(other.libp2p.peerId).length).toBe(1)
    await clock.advance(5000)
    expect(begun()).toBe(1)
    await clock.advance(35_000)
    await expect.poll(begun).toBe(2)
  })

  it('a peer is punched for immediately after the end of a direct connection that had lasted', async () => {
    const { relay, ours, other, clock, told, begun } = await watched()
    await dialThrough(relay, other, ours)
    await expect.poll(begun).toBe(1)
    const direct = await dialDirectly(ours, other)
    await expect.poll(told).toContain('direct')
    await clock.advance(5000)
    // The relayed connection is closed by then, or about to be, so the peer connects again.
    direct.abort(new Error('the laptop sleeps'))
    await dialThrough(relay, other, ours)
    await expect.poll(begun).toBe(2)
  })

  it('a silent direct connection is closed when the peer connects through the relay, and a punch starts', async () => {
    const { relay, ours, other, clock, told } = await watched()
    const direct = await dialDirectly(ours, other)
    direct.newStream = () => new Promise(() => undefined)
    await dialThrough(relay, other, ours)
    await expect.poll(() => ours.libp2p.getConnections(other.libp2p.peerId).length).toBe(2)
    await clock.advance(4999)
    expect({ status: direct.status, states: told() }).toEqual({ status: 'open', states: [] })
    await clock.advance(1)
    await expect.poll(told).toContain('relayed')
    expect(direct.status).not.toBe('open')
  })

  it('no port is observed for a peer that failed immediately', async () => {
    let dialled = 0
    const connect: Connect = (options) => {
      dialled++
      return systemConnect(options)
    }
    const { relay, ours, other, clock, told } = await watched({ connect })
    await dialThrough(relay, other, ours)
    await expect.poll(() => dialled).toBe(1)
    await expect.poll(() => other.libp2p.getConnections(relay.libp2p.peerId).length).toBeGreaterThan(0)
    await expect.poll(async () => (await clock.advance(100), told()), { interval: 10 }).toContain('failed')
    await clock.advance(10_000)
    expect(dialled).toBe(1)
    await expect.poll(() => ours.libp2p.getConnections(relay.libp2p.peerId).length).toBe(1)
  })
})

describe('a new search on another network', () => {
  it('a new search serves the protocol, even after the previous search has ended', async () => {
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

  it('a new search may begin during the check of a direct connection', async () => {
    const clock = virtualClock()
    const components = { events: new EventTarget(), connectionManager: { getConnections: () => [] } }
    const host = hostOf(components as unknown as Context['host']['components'], clock)
    const silent = { newStream: () => new Promise(() => undefined) } as unknown as Connection
    const cut = new AbortController()
    const letting = closeRelayed({ host, settings: { graceMs: 5000 } } as unknown as Context, silent, cut)
    cut.abort(new Error('another network'))
    // An unhandled rejection of the previous search would end the process.
    await expect(letting).rejects.toThrow('another network')
    expect(clock.pending).toBe(0)
  })
})
