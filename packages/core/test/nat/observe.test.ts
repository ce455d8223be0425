import {
  type Behaviour,
  type CallOptions,
  type Endpoint,
  type MultiaddrText,
  natError,
  type Observation,
  type Observer,
  type SharedUdpSocket,
  type Strategy
} from '@postern/interface'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Report, recordMetrics } from '../../src/index.js'
import {
  begin,
  end,
  home,
  keepingSink,
  party,
  router,
  type Stage,
  scripted,
  stage,
  web,
  witnesses
} from '../support.js'

const game: Endpoint = { protocol: 'udp', family: 4, address: '0.0.0.0', port: 6000 }
const seen = '/ip4/11.0.0.2/udp/6000'
const even: Observation = {
  address: seen,
  mapping: 'endpoint-independent',
  filtering: 'address-dependent',
  hairpin: 'fails'
}
const symmetric: Observation = { address: seen, mapping: 'address-and-port-dependent' }

/** What an observer answers, or the code that it fails with; `stall` for no answer at all. */
type Answer = Observation | 'NO_REPLY' | 'CARRIER_NAT' | 'stall'

/** Creates observers, each in a network of its own, that answer after 20 ms. */
const observers =
  (
    answers: Readonly<Record<string, Answer>>,
    clock: VirtualClock,
    asked: string[],
    later: Record<string, number> = {}
  ): Strategy =>
  () => ({
    name: 'stun',
    kind: 'observer',
    async discover(_network, found, call) {
      for (const [index, id] of Object.keys(answers).entries()) {
        const observer: Observer = {
          kind: 'observer',
          party: party(id, `${20 + index}.0.0.0/16`),
          async observe({ endpoint }, each) {
            asked.push(`${clock.monotonicMs()} ${id} ${endpoint.port}`)
            await clock.sleep(20, each)
            const answer = answers[id] ?? 'NO_REPLY'
            if (answer === 'stall') await clock.sleep(1e9, each)
            if (typeof answer === 'string')
              throw natError(answer === 'stall' ? 'NO_REPLY' : answer, `${id} says nothing`)
            return answer
          }
        }
        await clock.sleep(later[id] ?? 0, call)
        found(observer)
      }
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })

interface ObserverSetup extends Stage {
  readonly asked: string[]
  readonly answers: Record<string, Answer>
  readonly opened: CallOptions[]
}

function setUpObservers(
  given: Readonly<Record<string, Answer>>,
  options: {
    readonly more?: (stage: { trace: string[]; clock: VirtualClock }) => Strategy[]
    readonly later?: Record<string, number>
    readonly policy?: object
  } = {}
): ObserverSetup {
  const asked: string[] = []
  const opened: CallOptions[] = []
  const answers = { ...given }
  const { more = () => [], later = {}, policy = {} } = options
  const each = stage((trace, clock) => [...more({ trace, clock }), observers(answers, clock, asked, later)], { policy })
  each.traversal.shareSocket((call) => {
    opened.push(call)
    return shareSocketOf({ ...game, address: '192.168.1.2' })
  })
  return { ...each, asked, answers, opened }
}

const shareSocketOf = (endpoint: Endpoint): SharedUdpSocket => ({
  endpoint,
  send: () => undefined,
  receive: () => undefined
})
const natIn = ({ traversal }: Stage): Report['nat'] => traversal.report().nat

describe('observers', () => {
  it('each question to an observer counts once, with its outcome', async () => {
    const each = setUpObservers({ alpha: even, beta: 'NO_REPLY' })
    const sink = keepingSink()
    recordMetrics(each.traversal, sink)
    await begin(each)
    const asked = { 'postern.strategy': 'stun', 'postern.verb': 'observe' }
    expect(sink.total('requestDuration', { ...asked, 'postern.outcome': 'success' })).toBe(1)
    expect(sink.total('requestDuration', { ...asked, 'error.type': 'NO_REPLY' })).toBe(1)
    expect(each.asked).toHaveLength(2)
    await end(each)
  })

  it('observers fill the report with what they found out, and with the address of a wanted endpoint', async () => {
    const each = setUpObservers({ alpha: even })
    each.traversal.addEndpoint(game)
    expect(natIn(each)).toBe(null)
    await begin(each)
    const { nat, candidates, externalAddresses } = each.traversal.report()
    expect(nat).toEqual({ mapping: 'endpoint-independent', filtering: 'address-dependent', hairpin: 'fails' })
    expect(candidates).toEqual([
      {
        address: seen,
        type: 'observed',
        strategy: 'stun',
        endpoint: { protocol: 'udp', address: '192.168.1.2', port: 6000 },
        state: 'claimed',
        expiresAt: null,
        evidence: []
      }
    ])
    expect(externalAddresses).toEqual([])
    await end(each)
    expect(natIn(each)).toBe(null)
    expect(each.clock.pending).toBe(0)
  })

  it('observed candidates omit what a router has mapped, and carry the suffix of their endpoint', async () => {
    const mapped = setUpObservers(
      { alpha: even },
      { more: ({ trace, clock }) => [scripted('pcp', trace, clock).strategy] }
    )
    mapped.traversal.addEndpoint(game)
    await begin(mapped)
    expect(mapped.traversal.report().candidates).toMatchObject([{ address: seen, type: 'mapped', state: 'consistent' }])
    await end(mapped)
    const quic = setUpObservers({ alpha: even })
    quic.traversal.addEndpoint(game, { suffix: '/quic-v1' })
    await begin(quic)
    expect(quic.traversal.report().candidates).toMatchObject([{ address: `${seen}/quic-v1`, type: 'observed' }])
    await end(quic)
  })

  it('observers are asked once, and the socket is open no longer than that', async () => {
    const each = setUpObservers({ alpha: even, bravo: { address: seen } })
    await begin(each, 86_400_000)
    expect(each.asked).toEqual(['10 alpha 6000', '10 bravo 6000'])
    expect(each.opened.map(({ signal }) => signal.aborted)).toEqual([true])
    await end(each)
  })

  it('observers are not asked without a lent socket, and no socket is opened without observers', async () => {
    const asked: string[] = []
    const alone = stage((_, clock) => [observers({ alpha: even }, clock, asked)])
    await begin(alone, 60_000)
    expect(asked).toEqual([])
    await end(alone)
    const none = setUpObservers({})
    await begin(none, 60_000)
    expect(none.opened).toEqual([])
    await end(none)
  })

  it('observers that are found later are asked then, and the others not again', async () => {
    const each = setUpObservers({ alpha: { address: seen }, bravo: { address: seen } }, { later: { bravo: 3000 } })
    await begin(each, 10_000)
    expect(each.asked).toEqual(['10 alpha 6000', '3000 bravo 6000'])
    expect(natIn(each)?.mapping).toBe('endpoint-independent')
    await end(each)
  })

  it('at most three observers are asked, on distinct networks', async () => {
    const each = setUpObservers({ a: even, b: even, c: even, d: even, e: even })
    await begin(each)
    expect(each.asked).toHaveLength(3)
    await end(each)
    const one = setUpObservers({ a: even, b: even }, { policy: { observers: 1 } })
    await begin(one)
    expect(one.asked).toHaveLength(1)
    await end(one)
  })

  it('observers are asked again in another network, which has another NAT, at most four times a minute', async () => {
    const each = setUpObservers({ alpha: even })
    await begin(each)
    each.answers['alpha'] = symmetric
    const other = {
      gateways: [{ ...router, address: '192.168.2.1', localAddress: '192.168.2.2' }],
      addresses: ['192.168.2.2']
    }
    each.traversal.setNetwork(other)
    expect(natIn(each)).toBe(null)
    await each.clock.advance(2000)
    expect([each.asked.length, natIn(each)?.mapping]).toEqual([2, 'address-and-port-dependent'])
    for (let change = 0; change < 20; change += 1) {
      each.traversal.setNetwork(change % 2 === 0 ? home : other)
      await each.clock.advance(1000)
    }
    const firstMinute = each.asked.filter((text) => Number.parseFloat(text) < 60_000)
    expect(firstMinute.length).toBeLessThanOrEqual(4)
    await end(each)
  })

  it('observers that answer after a change of the network are ignored', async () => {
    const [asked, clock] = [[] as string[], virtualClock()]
    const slow: Strategy = () => ({
      name: 'stun',
      kind: 'observer',
      async discover(_network, found) {
        const slowParty = { id: 'slow', network: '21.0.0.0/16' }
        found({
          kind: 'observer',
          party: slowParty,
          // It ignores the signal.
          async observe() {
            asked.push('slow')
            await clock.sleep(asked.length === 1 ? 800 : 1e9, { signal: new AbortController().signal })
            return even
          }
        })
      }
    })
    const each = stage(() => [slow], { clock })
    each.traversal.shareSocket(() => shareSocketOf({ ...game, address: '192.168.1.2' }))
    await begin(each, 600)
    each.traversal.setNetwork({ gateways: [], addresses: ['192.168.1.2'] })
    await clock.advance(5000)
    expect([asked, natIn(each)]).toEqual([['slow', 'slow'], null])
    await end(each)
  })

  it('observers that cannot see one of two sockets do not fail for the other', async () => {
    const each = setUpObservers({ alpha: even })
    const six: Endpoint = { protocol: 'udp', family: 6, address: '2001:db8::1', port: 6000 }
    each.traversal.shareSocket(() => shareSocketOf(six))
    each.traversal.shareSocket(() => shareSocketOf({ ...game, address: '192.168.1.2', port: 6001 }))
    await begin(each)
    expect(each.asked.map((text) => text.split(' ').at(-1))).toEqual(['6000', '6001'])
    expect(each.traversal.report().strategies[0]).toMatchObject({ state: 'active', reason: null })
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('observers are asked again after a doubt, but not sooner than the policy says', async () => {
    const [asked, clock] = [[] as string[], virtualClock()]
    const pcp = scripted('pcp', [], clock)
    const each = stage(() => [pcp.strategy, observers({ alpha: even }, clock, asked)], { clock })
    each.traversal.shareSocket(() => shareSocketOf({ ...game, address: '192.168.1.2' }))
    await begin(each)
    for (let hint = 0; hint < 10; hint += 1) {
      pcp.say((mapper) => ({ kind: 'notice', what: 'address-changed', about: mapper }))
      await clock.advance(60_000)
    }
    expect(asked).toEqual(['10 alpha 6000', '300030 alpha 6000'])
    await end(each)
  })

  it('observers that do not answer are asked again with back-off until one does', async () => {
    const each = setUpObservers({ alpha: 'NO_REPLY' })
    await begin(each, 60_000)
    expect(each.asked.map((text) => Number.parseFloat(text))).toEqual([10, 5030, 15_050, 35_070])
    each.answers['alpha'] = even
    await each.clock.advance(60_000)
    expect(natIn(each)?.mapping).toBe('endpoint-independent')
    await each.clock.advance(86_400_000)
    expect(each.asked).toHaveLength(5)
    await end(each)
  })

  it('observers that stall are given up, delay nothing, and leave nothing behind', async () => {
    const each = setUpObservers({ alpha: 'stall', bravo: even })
    await begin(each, 100)
    expect(natIn(each)?.filtering).toBe('address-dependent')
    await each.clock.advance(31_000)
    await end(each)
    expect(each.clock.pending).toBe(0)
    const stalled = setUpObservers({ alpha: 'stall' }, { policy: { observeMs: 1000 } })
    await begin(stalled, 1500)
    expect(stalled.traversal.report().strategies[0]).toMatchObject({
      state: 'failed',
      reason: { code: 'ATTEMPT_TIMEOUT' }
    })
    await end(stalled)
    expect(stalled.clock.pending).toBe(0)
  })

  it('observers are not asked about a socket that is taken back', async () => {
    const each = stage((_, clock) => [observers({ alpha: even }, clock, [])])
    const cut = new AbortController()
    each.traversal.shareSocket(() => shareSocketOf({ ...game, address: '192.168.1.2' }), cut)
    await begin(each)
    expect(natIn(each)?.mapping).toBe('endpoint-independent')
    cut.abort()
    expect(natIn(each)).toBe(null)
    await end(each)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('closed')
      }
    ],
    ['rejects', async () => Promise.reject(new Error('closed'))],
    ['hangs', () => new Promise<SharedUdpSocket>(() => undefined)]
  ] as const)('observers wait if lending %s, and the ladder goes on', async (_, open) => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock).strategy,
      observers({ alpha: even }, clock, [])
    ])
    each.traversal.shareSocket(open)
    each.traversal.addEndpoint(web)
    await begin(each, 600_000)
    expect(each.traversal.report()).toMatchObject({ verdict: 'public', nat: null })
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('a verdict event reports a change of what observers found out', async () => {
    const each = setUpObservers({ alpha: even })
    const told: unknown[] = []
    each.traversal.addEventListener('verdict', ({ detail }) => told.push(detail.nat?.mapping))
    await begin(each)
    expect(told).toContain('endpoint-independent')
    await end(each)
  })
})

describe('what observers see alone never makes the host reachable', () => {
  const open: Observation = {
    address: seen,
    mapping: 'endpoint-independent',
    filtering: 'endpoint-independent',
    hairpin: 'works'
  }

  it('without witnesses the verdict stays private, whatever observers report', async () => {
    const each = setUpObservers({ alpha: open, bravo: open })
    each.traversal.addEndpoint(game)
    await begin(each, 3_600_000)
    const { verdict, externalAddresses, candidates } = each.traversal.report()
    expect([verdict, externalAddresses]).toEqual(['private', []])
    expect(candidates.map(({ state }) => state)).toEqual(['claimed'])
    expect(each.events).toEqual([])
    await end(each)
  })

  it.each([
    ['reachable', 'public', [seen]],
    ['unreachable', 'private', []]
  ] as const)('the socket of an open NAT is %s to witnesses, and the verdict is %s', async (answer, verdict, found) => {
    const each = setUpObservers(
      { alpha: open, bravo: open },
      // The first two are in the networks of the observers, which the NAT may know.
      { more: ({ clock }) => [witnesses({ a: 'unreachable', b: 'unreachable', c: answer, d: answer }, clock)] }
    )
    each.traversal.addEndpoint(game)
    await begin(each, 60_000)

    expect(each.traversal.report()).toMatchObject({ verdict, externalAddresses: found })
    const [candidate] = each.traversal.report().candidates
    expect(candidate?.evidence.map(({ party: id }) => id)).toEqual(['c', 'd'])
    await end(each)
  })

  it('the cause is no-route although there are observers', async () => {
    const each = setUpObservers({ alpha: even })
    each.traversal.setNetwork({ gateways: [], addresses: [] })
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report()).toMatchObject({ verdict: 'private', cause: 'no-route' })
    await end(each)
  })

  it('the failure of an observer is no cause: a server cannot put the host behind a carrier', async () => {
    const each = setUpObservers({ alpha: 'CARRIER_NAT' })
    each.traversal.addEndpoint(web)
    await begin(each, 12_000)
    expect(each.traversal.report().cause).toBe('no-mapping-service')
    await end(each)
  })
})

it('the host is never reachable and nothing is left behind, whatever observers report and however often networks change', async () => {
  const behaviour = fc.option(
    fc.constantFrom<Behaviour>('endpoint-independent', 'address-dependent', 'address-and-port-dependent'),
    { nil: undefined }
  )
  const observation = fc
    .record({
      address: fc.constantFrom<MultiaddrText>(
        seen,
        '/ip4/66.0.0.6/udp/1',
        '/ip4/192.168.1.2/udp/6000',
        '/ip6/::1/udp/1',
        '/'
      ),
      mapping: behaviour,
      filtering: behaviour,
      hairpin: fc.constantFrom('works' as const, 'fails' as const)
    })
    .map(
      ({ mapping, filtering, ...rest }): Observation => ({
        ...rest,
        ...(mapping && { mapping }),
        ...(filtering && { filtering })
      })
    )
  const answer: fc.Arbitrary<Answer> = fc.oneof(observation, fc.constantFrom('NO_REPLY', 'CARRIER_NAT', 'stall'))
  const step = fc.oneof(fc.nat(4), fc.constantFrom('wait', 'network'))
  const property = fc.asyncProperty(
    fc.array(answer, { minLength: 1, maxLength: 5 }),
    fc.array(step, { maxLength: 12 }),
    async (answers, steps) => {
      const each = setUpObservers(Object.fromEntries(answers.map((said, index) => [`o${index}`, said])))
      each.traversal.addEndpoint(game)
      await begin(each)
      for (const [index, what] of steps.entries()) {
        if (typeof what === 'number') each.answers[`o${what}`] = answers[index % answers.length] ?? 'NO_REPLY'
        if (what === 'network')
          each.traversal.setNetwork(index % 2 === 0 ? { gateways: [], addresses: ['192.168.1.2'] } : home)
        await each.clock.advance(7000)
        const { verdict, externalAddresses, candidates } = each.traversal.report()
        expect(['private', 'unknown']).toContain(verdict)
        expect(externalAddresses).toEqual([])
        expect(candidates.every(({ state, type }) => state === 'claimed' && type === 'observed')).toBe(true)
      }
      await end(each)
      expect([each.clock.pending, each.opened.filter(({ signal }) => !signal.aborted)]).toEqual([0, []])
    }
  )
  await fc.assert(property, { numRuns: 60 })
})

describe('the advice of observers', () => {
  const adviceOf = async (
    given: Readonly<Record<string, Answer>>,
    more?: Parameters<typeof setUpObservers>[1]
  ): Promise<string> => {
    const each = setUpObservers(given, more)
    each.traversal.addEndpoint(web)
    await begin(each, 12_000)
    const { advice } = each.traversal.report()
    await end(each)
    return advice.join(' ')
  }

  it('the advice behind a symmetric NAT says that hole punching fails, and what works', async () => {
    expect(await adviceOf({ alpha: symmetric })).toMatch(/hole punching does not get through.*IPv6 or a relay/)
  })

  it('the advice behind another NAT says that hole punching works', async () => {
    expect(await adviceOf({ alpha: even })).toMatch(/hole punching over a relay can/)
  })

  it('the advice without any answer says that UDP may be blocked and that nothing is known', async () => {
    expect(await adviceOf({ alpha: 'NO_REPLY', bravo: 'NO_REPLY' })).toMatch(
      /is unknown: look for a firewall that blocks UDP/
    )
  })

  it('the advice says that servers contradict each other, and their line says how', async () => {
    const given = { alpha: even, bravo: { address: '/ip4/66.0.0.6/udp/1' } } as const
    expect(await adviceOf(given)).toMatch(/contradict each other/)
    const each = setUpObservers(given)
    await begin(each)
    const [line] = each.traversal.report().strategies
    expect(line).toMatchObject({ state: 'failed', reason: { code: 'OBSERVERS_DISAGREE' } })
    await end(each)
  })

  it('the advice of observers is empty for a public host', async () => {
    const more = ({ trace, clock }: { trace: string[]; clock: VirtualClock }) => [
      scripted('pcp', trace, clock).strategy
    ]
    expect(await adviceOf({ alpha: symmetric }, { more })).toMatch(/^Name a witness[^.]+\.$/)
  })
})

describe('the report line of an observer that is of no use', () => {
  const line = (report: Report): unknown => report.strategies.find(({ name }) => name === 'stun')

  async function lending(lend: Parameters<Stage['traversal']['shareSocket']>[0]): Promise<Stage> {
    const here = stage((_trace, time) => [observers({ alpha: even }, time, [])])
    here.traversal.shareSocket(lend)
    await begin(here)
    await here.clock.advance(1000)
    return here
  }

  it('the line has a reason while its server is being looked for', async () => {
    const here = stage((_trace, clock) => [
      () => ({ name: 'stun', kind: 'observer', discover: (_network, _found, call) => clock.sleep(1e12, call) })
    ])
    here.traversal.setNetwork(home)
    void here.traversal.start()
    await here.clock.advance(5000)
    expect(line(here.traversal.report())).toMatchObject({
      state: 'unavailable',
      reason: { message: 'no server has been found yet' }
    })
    await end(here)
  })

  it('the line has a reason if no socket can be lent', async () => {
    const here = await lending(() => Promise.reject(Object.assign(new AggregateError([]), { code: 'EMFILE' })))
    expect(line(here.traversal.report())).toMatchObject({
      state: 'failed',
      reason: { message: 'the strategy failed: EMFILE' }
    })
    await end(here)
  })

  it('the line has a reason if no server has an address of the family of the socket', async () => {
    const here = await lending(() => shareSocketOf({ protocol: 'udp', family: 6, address: '2001:db8::2', port: 6000 }))
    expect(line(here.traversal.report())).toMatchObject({ state: 'failed', reason: { code: 'UNREACHABLE' } })
    await end(here)
  })

  it('the line has a reason if the error of a strategy has no text', async () => {
    const here = stage(() => [
      () => ({ name: 'stun', kind: 'observer', discover: () => Promise.reject(natError('NO_SERVICE', '')) })
    ])
    await begin(here)
    await here.clock.advance(1000)
    expect(line(here.traversal.report())).toMatchObject({ state: 'unavailable', reason: { message: 'NO_SERVICE' } })
    await end(here)
  })
})
