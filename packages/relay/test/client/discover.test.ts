import { multiaddr } from '@multiformats/multiaddr'
import type { CallOptions, Finding, Relay } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { redialMs } from '../../src/client/named-relays.js'
import { measureRtt } from '../../src/client/rtt.js'
import { relay as createRelay } from '../../src/index.js'
import { hopProtocol } from '../../src/wire/hop.js'
import { grant, inAnHour, refusal, startHop } from '../support/hop.js'
import {
  call,
  dial,
  hostOf,
  isAbsent,
  isGone,
  isRelay,
  type Node,
  nowhere,
  pair,
  search,
  startNode,
  startRelay,
  until
} from '../support/nodes.js'
import { simulated } from './crowd.js'

/** Answers pings after this delay. */
const pings = async (node: Node, afterMs = 0): Promise<void> =>
  node.libp2p.handle('/ipfs/ping/1.0.0', (stream) => {
    stream.addEventListener('message', ({ data }) => void setTimeout(() => stream.send(data), afterMs))
  })

describe('discover', () => {
  it('discover finds relays that are connected, connect later, or begin to serve', async () => {
    const [node, one, other, late] = await Promise.all([
      startNode(),
      startRelay(),
      startRelay(),
      startNode({ listen: ['/ip4/127.0.0.1/tcp/0'] })
    ])
    await node.libp2p.dial(multiaddr(one.address))
    const looking = search(node.components)
    await looking.relay(one)
    await node.libp2p.dial(multiaddr(other.address))
    await looking.relay(other)
    await node.libp2p.dial(multiaddr(late.address))
    await late.libp2p.handle(hopProtocol, () => undefined)
    await looking.relay(late)
  })

  it('discover reports after two seconds that there is no relay', async () => {
    const [node, mute] = await Promise.all([startNode(), startNode({ listen: ['/ip4/127.0.0.1/tcp/0'] })])
    await node.libp2p.dial(multiaddr(mute.address))
    const clock = virtualClock()
    const looking = search(node.components, {}, clock)
    await clock.advance(1999)
    expect(looking.findings).toEqual([])
    await clock.advance(1)
    expect(await looking.finding(isAbsent)).toMatchObject({ gateway: null, reason: { code: 'NO_SERVICE' } })
  })

  it('discover finds nothing with an aborted signal', async () => {
    const { node } = await pair()
    const clock = virtualClock()
    const strategy = (await import('../../src/index.js')).relay()(hostOf(node.components, clock))
    const found: unknown[] = []
    await strategy.discover({ gateways: [], addresses: [] }, (each) => found.push(each), {
      signal: AbortSignal.abort()
    })
    expect(found).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('discover does not find a relay that is connected through another relay only', async () => {
    const [node, relay, far] = await Promise.all([startNode(), startRelay(), startNode({ services: {}, listen: [] })])
    await far.libp2p.handle(hopProtocol, () => undefined, { runOnLimitedConnection: true })
    await far.libp2p.dial(multiaddr(relay.address))
    const lease = await (await search(far.components).relay(relay)).reserve(call())
    expect(await dial(node, `${lease.addresses[0]}/p2p/${far.id}`)).toBe('relayed')
    const looking = search(node.components)
    await looking.relay(relay)
    await until(() => node.libp2p.getConnections(far.libp2p.peerId).length > 0)
    expect(looking.relays().map(({ party }) => party.id)).toEqual([relay.id])
  })

  it('discover does not offer a relay that has dialled us, but dials it if more relays are needed', async () => {
    const [node, relay] = await Promise.all([startNode({ listen: ['/ip4/127.0.0.1/tcp/0'] }), startRelay()])
    await relay.libp2p.dial(multiaddr(node.address))
    const looking = search(node.components, { discover: true })
    const ability = await looking.relay(relay)
    const lease = await ability.reserve(call())
    expect(lease.addresses).toContain(`${relay.address}/p2p-circuit`)
    expect(
      node.libp2p
        .getConnections()
        .map(({ direction }) => direction)
        .sort()
    ).toEqual(['inbound', 'outbound'])
  })

  it('discover finds at most thirty-two unconfigured relays, and others when some leave', async () => {
    const crowd = await simulated(1000)
    const looking = search(crowd.components, {}, crowd.clock)
    await crowd.clock.advance(600)
    expect(looking.relays()).toHaveLength(32)
    const gone = looking.relays().slice(0, 5)
    for (const { party } of gone) crowd.disconnect(party.id)
    await crowd.clock.advance(600)
    expect(looking.findings.filter(isGone)).toHaveLength(5)
    expect(new Set(looking.relays().map(({ party }) => party.id)).size).toBe(37)
    await looking.stop()
    expect(crowd.clock.pending).toBe(0)
  })
})

describe('a lost relay', () => {
  it('a relay is gone when its last connection closes', async () => {
    const { relay, node, looking, ability } = await pair()
    const second = await node.libp2p.dial(multiaddr(relay.address), { force: true })
    await second.close()
    expect(looking.findings.filter(isGone)).toEqual([])
    await node.libp2p.hangUp(relay.libp2p.peerId)
    expect((await looking.finding(isGone)).about).toBe(ability)
  })

  it('a relay is gone when it no longer serves', async () => {
    const { relay, node, looking, ability } = await pair()
    // As identify does when the relay pushes its current protocols.
    await node.components.peerStore.patch(relay.libp2p.peerId, { protocols: ['/ipfs/id/1.0.0'] })
    expect((await looking.finding(isGone)).about).toBe(ability)
  })
})

describe('the round-trip time of a relay', () => {
  it('the round-trip time is known when the relay is offered', async () => {
    const [node, near, far] = await Promise.all([startNode(), startRelay(), startRelay()])
    await pings(near)
    await pings(far, 100)
    const looking = search(node.components)
    await node.libp2p.dial(multiaddr(far.address))
    await node.libp2p.dial(multiaddr(near.address))
    const [a, b] = [await looking.relay(near), await looking.relay(far)]
    expect(a.party.rttMs).toBeLessThan(100)
    expect(b.party.rttMs).toBeGreaterThanOrEqual(99)
    expect(looking.findings[0]).toBe(a)
  })

  it('a slow round-trip time is reported later with another offer', async () => {
    const [node, slow] = await Promise.all([startNode(), startRelay()])
    let answer: (() => void) | undefined
    await slow.libp2p.handle('/ipfs/ping/1.0.0', (stream) => {
      stream.addEventListener('message', ({ data }) => {
        answer = () => void stream.send(data)
      })
    })
    const clock = virtualClock()
    await node.libp2p.dial(multiaddr(slow.address))
    const looking = search(node.components, {}, clock)
    await until(() => answer !== undefined)
    expect(looking.findings).toEqual([])
    await clock.advance(500)
    const first = await looking.relay(slow)
    expect(first.party.rttMs).toBeUndefined()
    await clock.advance(100)
    answer?.()
    const second = await looking.finding((each): each is Relay => isRelay(each) && each !== first)
    expect(second.party).toMatchObject({ id: slow.id, rttMs: 600 })
  })

  it('the round-trip time is unknown if the relay returns other bytes, or none', async () => {
    const [node, liar, mute] = await Promise.all([startNode(), startRelay(), startRelay()])
    await liar.libp2p.handle('/ipfs/ping/1.0.0', (stream) => void stream.send(new Uint8Array(32)))
    await mute.libp2p.handle('/ipfs/ping/1.0.0', () => undefined)
    const clock = virtualClock()
    const toLiar = await node.libp2p.dial(multiaddr(liar.address))
    expect(await measureRtt(toLiar, clock, call())).toBeUndefined()
    const toMute = await node.libp2p.dial(multiaddr(mute.address))
    const measured = measureRtt(toMute, clock, call())
    await until(() => toMute.streams.some(({ protocol }) => protocol === '/ipfs/ping/1.0.0'))
    await clock.advance(10_000)
    expect(await measured).toBeUndefined()
    await until(() => [...toMute.streams, ...toLiar.streams].every(({ protocol }) => protocol !== '/ipfs/ping/1.0.0'))
  })

  it('the round-trip time is taken from libp2p if it has measured one', async () => {
    const { node } = await pair()
    const [connection] = node.libp2p.getConnections()
    if (connection === undefined) throw new Error('no connection')
    connection.rtt = 42
    expect(await measureRtt(connection, virtualClock(), call())).toBe(42)
  })
})

describe('a configured relay', () => {
  it('a configured relay is dialled again immediately after a long connection', async () => {
    const [node, relay] = await Promise.all([startNode(), startRelay()])
    const clock = virtualClock({ wallMs: Date.now() })
    const looking = search(node.components, { relays: [relay.address] }, clock)
    await looking.relay(relay)
    await clock.advance(10_000)
    await node.libp2p.hangUp(relay.libp2p.peerId)
    const gone = await looking.finding(isGone)
    await looking.finding(isRelay, looking.findings.indexOf(gone))
  })

  it('a configured relay that disconnects repeatedly is dialled with growing delays', async () => {
    const [node, relay] = await Promise.all([startNode(), startRelay()])
    const opened: number[] = []
    const clock = virtualClock({ wallMs: Date.now() })
    relay.libp2p.addEventListener('connection:open', ({ detail }) => {
      opened.push(clock.monotonicMs())
      detail.abort(new Error('go away'))
    })
    search(node.components, { relays: [relay.address] }, clock)
    while (opened.length < 5) {
      await clock.advance(50)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    const waits = opened.slice(1).map((at, index) => at - (opened[index] ?? 0))
    for (const [index, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual([250, 500, 1000, 2000][index] ?? 0)
  })

  it('a configured relay that restarts with the same key is found again and grants a reservation', async () => {
    const relay = await startRelay()
    const node = await startNode()
    const looking = search(node.components, { relays: [relay.address] })
    const lease = await (await looking.relay(relay)).reserve(call())
    await relay.libp2p.stop()
    const gone = await looking.finding(isGone)
    await lease.release(call())
    expect(node.circuits()).toEqual([])
    const port = Number(/tcp\/(\d+)/.exec(relay.address)?.[1])
    const again = await startRelay({ port, privateKey: relay.components.privateKey })
    expect(again.id).toBe(relay.id)
    const ability = await looking.finding(isRelay, looking.findings.indexOf(gone))
    expect((await ability.reserve(call())).addresses).toEqual(lease.addresses)
    expect(await dial(await startNode(), node.circuits()[0] ?? '')).toBe('relayed')
  })

  it('a configured relay is dialled although it has dialled us', async () => {
    const [node, relay] = await Promise.all([startNode({ listen: ['/ip4/127.0.0.1/tcp/0'] }), startRelay()])
    await relay.libp2p.dial(multiaddr(node.address))
    const looking = search(node.components, { relays: [relay.address] })
    await looking.relay(relay)
  })

  it('a relay that is configured by DNS name counts as its own network if it reports no global address', async () => {
    const [node, relay] = await Promise.all([startNode(), startRelay()])
    const address = relay.address.replace('/ip4/127.0.0.1/', '/dns4/localhost/') as `/${string}`
    const looking = search(node.components, { relays: [address] })
    expect((await looking.relay(relay)).party.network).toBe('localhost')
  })

  it('a configured relay that is this node itself is ignored', async () => {
    const node = await startRelay()
    const looking = search(node.components, { relays: [node.address] })
    expect(looking.lines.join()).toContain('this node itself')
  })

  it('a configured relay is preferred, and others are used only if it is unusable', async () => {
    const [node, stranger, hop] = await Promise.all([
      startNode(),
      startRelay({ host: '127.1.0.1' }),
      startHop(async ({ say }) => say(refusal(200)))
    ])
    await node.libp2p.dial(multiaddr(stranger.address))
    const clock = virtualClock({ wallMs: Date.now() })
    const looking = search(node.components, { relays: [hop.address], count: 1 }, clock)
    const ability = await looking.relay(hop)
    await clock.advance(10_000)
    expect(looking.relays()).toHaveLength(1)
    await expect(ability.reserve(call())).rejects.toMatchObject({ code: 'OUT_OF_RESOURCES' })
    await looking.relay(stranger)
  })

  it('a configured relay is tagged while it is connected and the search runs', async () => {
    const [node, relay] = await Promise.all([startNode(), startRelay()])
    const looking = search(node.components, { relays: [relay.address] })
    await looking.relay(relay)
    const isTagged = async (): Promise<boolean> =>
      (await node.components.peerStore.get(relay.libp2p.peerId)).tags.has('postern-relay')
    await expect.poll(isTagged).toBe(true)
    await looking.stop()
    expect(await isTagged()).toBe(false)
  })

  it('a configured relay is offered before identify completes, and also if it never does', async () => {
    const silent = { identify: () => ({}), identifyPush: () => ({}) }
    const [node, hop] = await Promise.all([
      startNode(),
      startHop(async ({ say }) => say(grant(inAnHour(), ['/ip4/127.0.0.1/tcp/4001'])), { services: silent })
    ])
    const looking = search(node.components, { relays: [hop.address] })
    const lease = await (await looking.relay(hop)).reserve(call())
    expect(lease.addresses).toContain(`/ip4/127.0.0.1/tcp/4001/p2p/${hop.id}/p2p-circuit`)
  })

  it('a configured relay that has connected before the search is offered, although identify never completes', async () => {
    const silent = { identify: () => ({}), identifyPush: () => ({}) }
    const [node, hop] = await Promise.all([startNode(), startHop(() => undefined, { services: silent })])
    await node.libp2p.dial(multiaddr(hop.address))
    const looking = search(node.components, { relays: [hop.address] })
    await looking.relay(hop)
  })

  it('configured relays are dialled once when the node has started, and found by the search', async () => {
    const [node, one, away] = await Promise.all([startNode(), startRelay(), startRelay()])
    await away.libp2p.stop()
    const begun: ((each: CallOptions) => Promise<void>)[] = []
    const host = { ...hostOf(node.components), onStart: (started: (typeof begun)[number]) => void begun.push(started) }
    const { discover } = createRelay({ relays: [one.address, away.address], discover: false })(host)
    expect(begun).toHaveLength(1)
    expect(node.libp2p.getConnections()).toHaveLength(0)
    await Promise.all(begun.map(async (started) => started(call())))
    await until(() => node.libp2p.getConnections().length > 0)
    const stopping = new AbortController()
    const found = Promise.withResolvers<Finding>()
    const done = discover(nowhere, found.resolve, stopping)
    expect(await found.promise).toMatchObject({ party: { id: one.id } })
    stopping.abort()
    await done
    expect(node.libp2p.getConnections()).toHaveLength(1)
  })

  it('a configured relay is gone when identify shows that it does not serve', async () => {
    const [node, mute] = await Promise.all([startNode(), startNode({ listen: ['/ip4/127.0.0.1/tcp/0'] })])
    const looking = search(node.components, { relays: [mute.address] })
    await looking.relay(mute)
    await looking.finding(isGone)
  })

  it('redialMs grows from 250 ms to one minute', () => {
    expect([1, 2, 3, 4, 5, 30, 31, 32, 35, 36, 1000].map(redialMs)).toEqual([
      250, 500, 1000, 2000, 2000, 2000, 4000, 8000, 60_000, 60_000, 60_000
    ])
  })
})

describe('the walk through peer routing', () => {
  it('the walk logs once per walk that there is no peer routing, and ends with the signal', async () => {
    const node = await startNode()
    const clock = virtualClock()
    const looking = search(node.components, { discover: true }, clock)
    await clock.advance(2000)
    await until(() => looking.lines.some((line) => line.includes('peer routing')))
    await clock.advance(59_000)
    expect(looking.lines).toHaveLength(1)
    await looking.stop()
    expect(clock.pending).toBe(0)
  })

  it('the walk dials at most twenty peers of peer routing', async () => {
    const crowd = await simulated(0)
    const looking = search(crowd.components, { discover: true }, crowd.clock)
    crowd.walkable(100)
    await crowd.clock.advance(2000)
    await until(() => crowd.dialled() === 20)
    // The clock is idle after the walk. The next walk is due after one minute, and the one after it after two.
    await until(() => crowd.clock.pending === 1)
    await crowd.clock.advance(60_000)
    await until(() => crowd.dialled() === 40 && crowd.clock.pending === 1)
    await crowd.clock.advance(119_000)
    expect(crowd.dialled()).toBe(40)
    await crowd.clock.advance(1000)
    await until(() => crowd.dialled() === 60)
    await looking.stop()
    expect(crowd.clock.pending).toBe(0)
  })

  it('the walk dials public addresses only, and no destination that is appended to one', async () => {
    const crowd = await simulated(0)
    const looking = search(crowd.components, { discover: true }, crowd.clock)
    crowd.addressed([
      '/ip4/127.0.0.1/tcp/6379',
      '/ip4/192.168.1.1/tcp/80',
      '/ip4/169.254.169.254/tcp/80',
      '/dns4/localhost/tcp/22',
      '/ip4/11.0.0.1/tcp/443/tls/sni/127.0.0.1/ws',
      '/ip4/11.0.0.1/tcp/80/ws/http-path/x',
      '/ip4/11.0.0.1/tcp/443/wss'
    ])
    crowd.walkable(1)
    await crowd.clock.advance(2000)
    await until(() => crowd.dialled() === 1)
    expect(crowd.dialledAddresses).toEqual([
      expect.stringMatching(/^\/ip4\/11\.0\.0\.1\/tcp\/443\/tls\/ws\/p2p\/[\w-]+$/)
    ])
    await looking.stop()
  })

  it('the walk ends after half a minute without peers', async () => {
    const crowd = await simulated(0)
    const looking = search(crowd.components, { discover: true }, crowd.clock)
    crowd.walkable(Number.POSITIVE_INFINITY)
    await crowd.clock.advance(32_000)
    expect(looking.lines.join()).toContain('30000 ms')
    await looking.stop()
    expect(crowd.clock.pending).toBe(0)
  })

  it('the walk does not start while there are enough relays', async () => {
    const crowd = await simulated(2)
    search(crowd.components, { discover: true }, crowd.clock)
    crowd.walkable(10)
    await crowd.clock.advance(10_000)
    expect(crowd.dialled()).toBe(0)
  })
})
