import { natError, type Puncher, type Strategy } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { builtInStrategies, createTraversal, recordMetrics } from '../../src/index.js'
import {
  absent,
  begin,
  end,
  home,
  keepingSink,
  relays,
  type Scripted,
  type Stage,
  scripted,
  stage,
  web,
  witnesses
} from '../support.js'

const hourMs = 3_600_000

/** Records a stage from the start, with the endpoint `web`. */
function recorded(each: Stage): ReturnType<typeof keepingSink> {
  const sink = keepingSink()
  recordMetrics(each.traversal, sink)
  each.traversal.addEndpoint(web)
  return sink
}

/** Creates a stage with one scripted mapper. */
function mapperStage(options: Parameters<typeof scripted>[3] = {}): {
  readonly each: Stage
  readonly router: Scripted
} {
  let router: Scripted | undefined
  const each = stage((trace, clock) => {
    router = scripted('pcp', trace, clock, options)
    return [router.strategy]
  })
  if (router === undefined) throw new TypeError('the stage creates its strategies at once')
  return { each, router }
}

describe('the numbers of a mapping', () => {
  it('one mapping is one discovery, one request, one grant and one living lease', async () => {
    const { each } = mapperStage({ takesMs: 40 })
    const sink = recorded(each)
    await begin(each)
    expect(sink.total('requestDuration', { 'postern.verb': 'discover', 'postern.outcome': 'success' })).toBe(1)
    expect(sink.total('requestDuration', { 'postern.verb': 'map', 'postern.outcome': 'success' })).toBe(1)
    expect(sink.total('requestDuration')).toBe(2)
    expect(sink.total('grants', { 'postern.strategy': 'pcp' })).toBe(1)
    expect(sink.total('mappingEvents', { 'postern.event': 'mapped' })).toBe(1)
    expect(sink.gauge('leases')).toEqual({ pcp: 1 })
    expect(sink.gauge('candidates')).toEqual({ 'mapped consistent': 1 })
    expect(sink.gauge('verdict')).toEqual({ public: 1 })
    await end(each)
    expect(sink.total('requestDuration', { 'postern.verb': 'release', 'postern.outcome': 'success' })).toBe(1)
    expect(sink.total('mappingEvents', { 'postern.event': 'released' })).toBe(1)
    expect(sink.total('lapses')).toBe(0)
    expect(sink.gauge('leases')).toEqual({})
  })

  it('the time of a request is that of its answer, in seconds', async () => {
    const times: number[] = []
    const { each } = mapperStage({ takesMs: 40 })
    recordMetrics(each.traversal, {
      record: ({ kind }, value, attributes) => {
        if (kind === 'histogram' && attributes['postern.verb'] === 'map') times.push(value)
      },
      observe: () => () => undefined
    })
    each.traversal.addEndpoint(web)
    await begin(each)
    await end(each)
    expect(times).toEqual([0.04])
  })

  it('each renewal counts once, and its request too', async () => {
    const { each } = mapperStage({ lifetimeMs: hourMs })
    const sink = recorded(each)
    await begin(each)
    // Renewed at half of the lifetime, or up to an eighth of it later.
    await each.clock.advance(2 * hourMs)
    const renewals = each.events.filter(({ event }) => event === 'renewed').length
    expect(renewals).toBeGreaterThan(2)
    expect(sink.total('renewals', { 'postern.strategy': 'pcp' })).toBe(renewals)
    expect(sink.total('mappingEvents', { 'postern.event': 'renewed' })).toBe(renewals)
    expect(sink.total('requestDuration', { 'postern.verb': 'renew', 'postern.outcome': 'success' })).toBe(renewals)
    expect(sink.total('grants')).toBe(1)
    await end(each)
  })

  it('a router that restarts and refuses makes one lapse, with the code of the refusal', async () => {
    const { each, router } = mapperStage({
      renew: () => {
        throw natError('NOT_AUTHORIZED', 'the table is locked')
      },
      grant(request, count) {
        if (count > 1) throw natError('NOT_AUTHORIZED', 'the table is locked')
        return request.suggestedExternalPort
      }
    })
    const sink = recorded(each)
    await begin(each)
    router.say((mapper) => ({ kind: 'notice', what: 'restarted', about: mapper }))
    await each.clock.advance(20_000)
    expect(sink.total('lapses', { 'postern.strategy': 'pcp', 'error.type': 'NOT_AUTHORIZED' })).toBe(1)
    expect(sink.total('lapses')).toBe(1)
    expect(sink.total('mappingEvents', { 'postern.event': 'lost' })).toBe(1)
    expect(
      sink.total('requestDuration', {
        'postern.verb': 'renew',
        'postern.outcome': 'failure',
        'error.type': 'NOT_AUTHORIZED'
      })
    ).toBe(1)
    expect(sink.gauge('leases')).toEqual({})
    await end(each)
  })

  it('a router that does not speak a protocol makes one failed discovery with its code', async () => {
    const each = stage((_, clock) => [absent('upnp', clock, 'NO_SERVICE')])
    const sink = recorded(each)
    await begin(each)
    expect(
      sink.total('requestDuration', {
        'postern.strategy': 'upnp',
        'postern.verb': 'discover',
        'postern.outcome': 'failure',
        'error.type': 'NO_SERVICE'
      })
    ).toBe(1)
    await end(each)
  })

  it('a request that a stop ends is aborted, and no failure of the router', async () => {
    const { each } = mapperStage({ takesMs: 60_000 })
    const sink = recorded(each)
    await begin(each, 100)
    await end(each)
    expect(sink.total('requestDuration', { 'postern.verb': 'map', 'postern.outcome': 'aborted' })).toBe(1)
    expect(sink.total('requestDuration', { 'postern.outcome': 'failure' })).toBe(0)
    expect(sink.recorded().filter((attributes) => 'error.type' in attributes)).toEqual([])
  })
})

describe('the numbers of others', () => {
  it('each answer of a witness is one vote, and silence is inconclusive', async () => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock).strategy,
      witnesses({ a: 'reachable', b: 'unreachable', c: 'silent', d: 'reachable' }, clock)
    ])
    const sink = recorded(each)
    await begin(each, 60_000)
    const vote = (value: string): number =>
      sink.total('votes', { 'postern.strategy': 'autonat', 'postern.vote': value })
    expect({ yes: vote('reachable'), no: vote('unreachable'), unclear: vote('inconclusive') }).toMatchObject({
      yes: 2,
      no: 1
    })
    expect(sink.total('votes')).toBe(
      sink.total('requestDuration', { 'postern.verb': 'verify' }) -
        sink.total('requestDuration', { 'postern.verb': 'verify', 'postern.outcome': 'aborted' })
    )
    expect(sink.gauge('candidates')).toEqual({ 'mapped verified': 1 })
    await end(each)
  })

  it('a witness that does not answer in time has voted inconclusive', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy, witnesses({ a: 'silent' }, clock)])
    const sink = recorded(each)
    await begin(each, 60_000)
    expect(sink.total('votes', { 'postern.vote': 'inconclusive' })).toBe(1)
    expect(sink.total('requestDuration', { 'postern.verb': 'verify', 'error.type': 'ATTEMPT_TIMEOUT' })).toBe(1)
    await end(each)
  })

  it('a reservation at a relay is a lease, from its grant until it is given back', async () => {
    const each = stage((trace, clock) => [relays(['r1', 'r2'], clock, trace, (id) => id === 'r2')])
    const sink = recorded(each)
    await begin(each, 10_000)
    expect(sink.total('requestDuration', { 'postern.verb': 'reserve', 'postern.outcome': 'success' })).toBe(1)
    expect(sink.total('requestDuration', { 'postern.verb': 'reserve', 'error.type': 'OUT_OF_RESOURCES' })).toBe(1)
    expect(sink.total('grants', { 'postern.strategy': 'relay' })).toBe(1)
    expect(sink.gauge('leases')).toEqual({ relay: 1 })
    expect(sink.gauge('verdict')).toEqual({ relayed: 1 })
    await end(each)
    expect(sink.gauge('leases')).toEqual({})
    expect(sink.total('lapses')).toBe(0)
  })

  it('a reservation whose relay goes away has lapsed', async () => {
    let lose: (() => void) | undefined
    const each = stage((trace, clock) => [
      (host) => {
        const inner = relays(['r1'], clock, trace)(host)
        return {
          ...inner,
          discover: (network, found, call) =>
            inner.discover(
              network,
              (finding) => {
                found(finding)
                if (finding.kind === 'relay') lose = () => found({ kind: 'notice', what: 'gone', about: finding })
              },
              call
            )
        }
      }
    ])
    const sink = recorded(each)
    await begin(each, 10_000)
    lose?.()
    await each.clock.advance(10)
    expect(sink.total('lapses', { 'postern.strategy': 'relay' })).toBe(1)
    expect(sink.gauge('leases')).toEqual({})
    await end(each)
  })

  it('hole punches count by outcome, and only when they have one', async () => {
    let tell: ((state: 'relayed' | 'punching' | 'direct' | 'failed') => void) | undefined
    const puncher: Puncher = { kind: 'puncher', upgrade: async () => '/ip4/203.0.113.9/tcp/4001' }
    const each = stage((_, clock) => [
      () => ({
        name: 'hole-punch',
        kind: 'puncher',
        async discover(_network, found, call) {
          found(puncher)
          tell = (state) => found({ kind: 'notice', what: 'upgrade', about: puncher, peer: 'peer', state })
          await clock.sleep(1e12, call).catch(() => undefined)
        }
      })
    ])
    const sink = recorded(each)
    await begin(each)
    for (const state of ['relayed', 'punching', 'failed', 'relayed', 'punching', 'direct', 'failed'] as const)
      tell?.(state)
    expect(sink.total('upgrades', { 'postern.upgrade': 'direct' })).toBe(1)
    expect(sink.total('upgrades', { 'postern.upgrade': 'failed' })).toBe(2)
    await each.traversal.upgrade('peer', { signal: new AbortController().signal })
    expect(sink.total('requestDuration', { 'postern.verb': 'upgrade', 'postern.outcome': 'success' })).toBe(1)
    await end(each)
  })
})

describe('the bounds of a recording', () => {
  it('strategies with hostile names have 8 values beside those of the list, and other', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `mine-${index}`)
    const hostile = ['x'.repeat(500), 'a\nb', 'a"} 1', 'pcp{', '', 'ÄÖ', '__proto__', 'constructor']
    const each = stage((_, clock) => [...hostile, ...names].map((name) => absent(name, clock)))
    const sink = recorded(each)
    await begin(each)
    const values = new Set(sink.recorded().flatMap((attributes) => attributes['postern.strategy'] ?? []))
    expect([...values].toSorted()).toEqual(['constructor', ...names.slice(0, 7), 'other'].toSorted())
    expect(sink.total('requestDuration')).toBe(hostile.length + names.length)
    await end(each)
  })

  it('every built-in strategy keeps its name, also after many others', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `mine-${index}`)
    const each = stage((_, clock) => [...names, ...builtInStrategies].map((name) => absent(name, clock)))
    const sink = recorded(each)
    await begin(each)
    for (const name of builtInStrategies)
      expect({ [name]: sink.total('requestDuration', { 'postern.strategy': name }) }).toEqual({ [name]: 1 })
    await end(each)
  })

  it('a stop removes every listener and gauge, and is idempotent', async () => {
    const added: string[] = []
    const strategy: Strategy = absent('pcp', stage(() => []).clock)
    const traversal = createTraversal({ strategies: [strategy] })
    const sink = keepingSink()
    const target = new EventTarget()
    const recording = recordMetrics(
      {
        report: traversal.report,
        addEventListener(name, listener, options) {
          added.push(name)
          target.addEventListener(name, listener as never, options)
        }
      },
      sink
    )
    expect(sink.gauges()).toBe(3)
    recording.stop()
    recording[Symbol.dispose]()
    expect(sink.gauges()).toBe(0)
    for (const name of added) target.dispatchEvent(new CustomEvent(name, { detail: {} }))
    expect(added.length).toBeGreaterThan(10)
    expect(sink.recorded()).toEqual([])
  })

  it('two recordings that stop apart do not disturb each other', async () => {
    const { each } = mapperStage()
    const [early, late] = [keepingSink(), keepingSink()]
    const recording = recordMetrics(each.traversal, early)
    recordMetrics(each.traversal, late)
    each.traversal.addEndpoint(web)
    await begin(each)
    recording.stop()
    await end(each)
    expect(early.total('mappingEvents')).toBe(1)
    expect(late.total('mappingEvents')).toBe(2)
  })

  it('a recording that begins late has the present leases, and counts from now on', async () => {
    const { each } = mapperStage()
    each.traversal.addEndpoint(web)
    await begin(each)
    const sink = keepingSink()
    recordMetrics(each.traversal, sink)
    expect(sink.gauge('leases')).toEqual({ pcp: 1 })
    expect(sink.total('grants')).toBe(0)
    each.traversal.setNetwork({ ...home })
    await end(each)
    expect(sink.total('mappingEvents', { 'postern.event': 'released' })).toBe(1)
  })

  it('an exception of a sink ends neither the program nor the recording', async () => {
    const { each } = mapperStage()
    const counted: string[] = []
    recordMetrics(each.traversal, {
      record({ name }) {
        counted.push(name)
        throw new Error('the collector is away')
      },
      observe: () => () => undefined
    })
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(counted).toContain('postern.lease.grants')
    await end(each)
  })

  it('recordMetrics throws a TypeError for what is no source or no sink', () => {
    const { traversal } = stage(() => [])
    expect(() => recordMetrics({} as never, keepingSink())).toThrow('give a traversal, an exposure')
    expect(() => recordMetrics(traversal, undefined as never)).toThrow('metrics has no record() and observe()')
    expect(() => recordMetrics(traversal, { record: () => undefined } as never)).toThrow(TypeError)
  })
})
