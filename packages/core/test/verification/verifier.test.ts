import { type Finding, type Lease, natError, type Relay, type Strategy } from '@postern/interface'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { absent, begin, end, home, party, relays, type Stage, scripted, stage, web, witnesses } from '../support.js'

type Answer = 'reachable' | 'unreachable' | 'inconclusive' | 'silent'

/** Sets up a mapped endpoint and witnesses with these answers. */
function setUpWitnesses(
  answers: Readonly<Record<string, Answer>>
): Stage & { readonly asked: string[]; readonly answers: Record<string, Answer> } {
  const asked: string[] = []
  const live = { ...answers }
  const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy, witnesses(live, clock, asked)])
  each.traversal.addEndpoint(web)
  return { ...each, asked, answers: live }
}

describe('verification', () => {
  it('verification takes two witnesses on distinct networks, and asks no more', async () => {
    const each = setUpWitnesses({ a: 'reachable', b: 'reachable', c: 'reachable' })
    await begin(each, 100)
    expect(each.asked).toHaveLength(2)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080', 'verified pcp 11.0.0.2:8080'])
    expect(each.traversal.report()).toMatchObject({ verdict: 'public', cause: null })
    expect(each.traversal.report().candidates[0]?.evidence).toHaveLength(2)
    await end(each)
  })

  it('verification asks one more witness per disagreement, so that a liar is outvoted', async () => {
    const each = setUpWitnesses({ liar: 'unreachable', b: 'reachable', c: 'reachable', d: 'reachable' })
    await begin(each, 100)
    expect(each.asked).toHaveLength(3)
    expect(each.traversal.report().candidates[0]?.state).toBe('verified')
    await end(each)
  })

  it('verification does not wait for a witness that stalls if there is another one', async () => {
    const each = setUpWitnesses({ a: 'silent', b: 'reachable', c: 'reachable' })
    await begin(each, 2100)
    expect(each.asked).toHaveLength(3)
    expect(each.told().at(-1)).toBe('verified pcp 11.0.0.2:8080')
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('a witness that may still dial for a question that was given up is asked no other', async () => {
    const asked: string[] = []
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock).strategy,
      witnesses({ a: 'silent', b: 'reachable', c: 'reachable' }, clock, asked)
    ])
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    each.traversal.addEndpoint({ ...web, port: 8081 })
    await each.clock.advance(9000)
    const ofA = (): readonly string[] => asked.filter((line) => line.startsWith('a '))
    expect(ofA()).toEqual(['a /ip4/11.0.0.2/tcp/8080'])
    await each.clock.advance(2000)
    // The second address is verified by then, so that the silent one is not needed.
    each.traversal.addEndpoint({ ...web, port: 8082 })
    await each.clock.advance(10_000)
    expect(ofA()).toEqual(['a /ip4/11.0.0.2/tcp/8080', 'a /ip4/11.0.0.2/tcp/8082'])
    await end(each)
  })

  it('verification asks no witness again when more witnesses come after the decision', async () => {
    const clock = virtualClock()
    const asked: string[] = []
    let come: (() => void) | undefined
    const each = stage(
      (trace) => [
        scripted('pcp', trace, clock).strategy,
        (host) => ({
          ...witnesses({ a: 'reachable', b: 'reachable' }, clock, asked)(host),
          async discover(network, found, call) {
            come = () =>
              found({
                kind: 'witness',
                party: party('late', '99.0.0.0/16'),
                verify: async () => ({ outcome: 'reachable' })
              })
            await witnesses({ a: 'reachable', b: 'reachable' }, clock, asked)(host).discover(network, found, call)
          }
        })
      ],
      { clock }
    )
    each.traversal.addEndpoint(web)
    await begin(each, 100)
    come?.()
    await clock.advance(60_000)
    expect(asked).toHaveLength(2)
    expect(each.traversal.report().candidates[0]?.evidence).toHaveLength(2)
    await end(each)
  })

  it('verification asks only witnesses of the family of the address', async () => {
    const each = setUpWitnesses({ a6: 'unreachable', b6: 'unreachable', c4: 'reachable', d: 'reachable' })
    await begin(each, 100)
    expect(each.asked.map((line) => line.split(' ')[0])).toEqual(['c4', 'd'])
    expect(each.told().at(-1)).toBe('verified pcp 11.0.0.2:8080')
    await end(each)
  })

  it('an address counts as unverified if all witnesses dial the other family', async () => {
    const each = setUpWitnesses({ a6: 'reachable', b6: 'reachable' })
    await begin(each, 20_000)
    expect(each.asked).toEqual([])
    expect(each.traversal.report()).toMatchObject({ verdict: 'public', cause: 'unverified' })
    await end(each)
  })

  it('verification never succeeds with one vote, nor with witnesses that cannot tell', async () => {
    const each = setUpWitnesses({ a: 'reachable', b: 'inconclusive', c: 'silent' })
    await begin(each, 200_000)
    expect(each.traversal.report().candidates[0]?.state).toBe('consistent')
    expect(each.traversal.report().verdict).toBe('unknown')
    expect(each.told()).not.toContain('verified pcp 11.0.0.2:8080')
    await end(each)
  })

  it('a quorum refutes an address, which is withdrawn with a reason', async () => {
    const each = setUpWitnesses({ a: 'unreachable', b: 'unreachable', c: 'reachable' })
    await begin(each)
    expect(each.told()).toContain('refuted pcp 11.0.0.2:8080')
    expect(each.traversal.report()).toMatchObject({
      verdict: 'private',
      cause: 'mapping-not-honoured',
      externalAddresses: []
    })
    await end(each)
  })

  it('a refuted address is announced again only after the hold-down and a new quorum', async () => {
    const each = setUpWitnesses({ a: 'unreachable', b: 'unreachable' })
    await begin(each)
    Object.assign(each.answers, { a: 'reachable', b: 'reachable' })
    await each.clock.advance(28_000)
    expect(each.traversal.report().externalAddresses).toEqual([])
    await each.clock.advance(2000)
    expect(each.told().at(-1)).toBe('verified pcp 11.0.0.2:8080')
    await end(each)
  })

  it('verification is repeated after 10 min, doubling to 1 h', async () => {
    const each = setUpWitnesses({ a: 'reachable', b: 'reachable' })
    await begin(each, 590_000)
    expect(each.asked).toHaveLength(2)
    await each.clock.advance(20_000)
    expect(each.asked).toHaveLength(4)
    await each.clock.advance(1_180_000)
    expect(each.asked).toHaveLength(4)
    await each.clock.advance(30_000)
    expect(each.asked).toHaveLength(6)
    await end(each)
  })

  it('an address counts as it is, unverified, after 10 s with too few witnesses', async () => {
    const each = setUpWitnesses({ a: 'reachable' })
    await begin(each, 9000)
    expect(each.traversal.report().verdict).toBe('unknown')
    await each.clock.advance(1500)
    expect(each.traversal.report()).toMatchObject({ verdict: 'public', cause: 'unverified' })
    await end(each)
  })

  it('verification asks one witness at most four times a minute', async () => {
    const asked: string[] = []
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock).strategy,
      witnesses({ a: 'reachable', b: 'reachable' }, clock, asked)
    ])
    for (let port = 9000; port < 9010; port++) each.traversal.addEndpoint({ ...web, port })
    await begin(each, 50_000)
    expect(asked.filter((line) => line.startsWith('a '))).toHaveLength(4)
    await each.clock.advance(60_000)
    expect(asked.filter((line) => line.startsWith('a '))).toHaveLength(8)
    await end(each)
  })
})

const oneRelay = (reserve: Relay['reserve']): Relay => ({ kind: 'relay', party: party('r1', '40.0.0.0/16'), reserve })

/** Creates a strategy that finds one relay, and returns the function that sends its findings. */
const finding =
  (clock: VirtualClock, relay: Relay, hand: (found: (finding: Finding) => void) => void = () => undefined): Strategy =>
  () => ({
    name: 'relay',
    kind: 'relay',
    async discover(_network, found, call) {
      hand(found)
      found(relay)
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })

describe('relays', () => {
  it('a relay is reserved at once, and a second one after 5 s without public', async () => {
    const each = stage((trace, clock) => [absent('pcp', clock), relays(['r1', 'r2', 'r3'], clock, trace)])
    each.traversal.addEndpoint(web)
    await begin(each, 1500)
    expect(each.trace).toEqual(['reserve r1'])
    expect(each.traversal.report()).toMatchObject({ verdict: 'relayed', cause: 'no-mapping-service' })
    await each.clock.advance(5000)
    expect(each.trace).toEqual(['reserve r1', 'reserve r2'])
    await end(each)
    expect(each.trace.filter((line) => line.startsWith('let go'))).toHaveLength(2)
    expect(each.clock.pending).toBe(0)
  })

  it('relays are released after 60 s of public, and reserved again when the address is refuted', async () => {
    const clock = virtualClock()
    const asked: string[] = []
    const answers: Record<string, Answer> = { a: 'reachable', b: 'reachable' }
    const each = stage(
      (trace) => [
        scripted('pcp', trace, clock).strategy,
        relays(['r1'], clock, trace),
        witnesses(answers, clock, asked)
      ],
      { clock }
    )
    each.traversal.addEndpoint(web)
    await begin(each, 59_000)
    expect(each.trace).toEqual(['reserve r1', 'map pcp 8080'])
    await clock.advance(2000)
    expect(each.trace.at(-1)).toBe('let go r1')
    Object.assign(answers, { a: 'unreachable', b: 'unreachable' })
    await clock.advance(610_000)
    expect(each.trace.at(-1)).toBe('reserve r1')
    expect(each.traversal.report().verdict).toBe('relayed')
    await end(each)
  })

  it('relays are kept while a circuit is in use', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy, relays(['r1'], clock, trace)], {
      policy: { relay: { isInUse: () => true } }
    })
    each.traversal.addEndpoint(web)
    await begin(each, 300_000)
    expect(each.trace).not.toContain('let go r1')
    await end(each)
  })

  it('a relay that refuses is not asked again for 60 s', async () => {
    const each = stage((trace, clock) => [relays(['r1'], clock, trace, () => true)])
    each.traversal.addEndpoint(web)
    await begin(each, 59_000)
    expect(each.trace).toEqual(['reserve r1'])
    await each.clock.advance(2000)
    expect(each.trace).toEqual(['reserve r1', 'reserve r1'])
    await end(each)
  })

  it('a relay that grants very short reservations is not asked all the time', async () => {
    const clock = virtualClock()
    const reserved: number[] = []
    const lease: Lease = {
      addresses: ['/ip4/40.0.0.1/tcp/4001/p2p/r1/p2p-circuit'],
      lifetimeMs: 1000,
      renew: async () => lease,
      release: async () => undefined
    }
    const relay = oneRelay(async () => (reserved.push(clock.monotonicMs()), lease))
    const each = stage(() => [finding(clock, relay)], { clock })
    each.traversal.addEndpoint(web)
    await begin(each, 60_000)
    expect(reserved.length).toBeGreaterThan(5)
    for (const [index, at] of reserved.slice(1).entries()) expect(at - (reserved[index] ?? 0)).toBe(5000)
    await end(each)
  })

  it('a relay is asked again soon if it did not answer, and late if it refused', async () => {
    for (const [code, againMs] of [
      ['NO_REPLY', 5000],
      ['OUT_OF_RESOURCES', 60_000]
    ] as const) {
      const clock = virtualClock()
      const asked: number[] = []
      const relay = oneRelay(async () => {
        asked.push(clock.monotonicMs())
        throw natError(code, 'no')
      })
      const each = stage(() => [finding(clock, relay)], { clock })
      each.traversal.addEndpoint(web)
      await begin(each, 70_000)
      expect((asked[1] ?? 0) - (asked[0] ?? 0)).toBe(againMs)
      await end(each)
    }
  })

  it('a relay that does not renew is released, so that nothing listens through it for ever', async () => {
    const clock = virtualClock()
    const trace: string[] = []
    const lease: Lease = {
      addresses: ['/ip4/40.0.0.1/tcp/4001/p2p/r1/p2p-circuit'],
      lifetimeMs: 3_600_000,
      renew: async () => Promise.reject(natError('OUT_OF_RESOURCES', 'full')),
      release: async () => void trace.push('let go')
    }
    const relay = oneRelay(async () => (trace.push('reserve'), lease))
    const each = stage(() => [finding(clock, relay)], { clock })
    each.traversal.addEndpoint(web)
    await begin(each)
    await clock.advance(2_400_000)
    expect(trace).toEqual(['reserve', 'let go', 'reserve'])
    await end(each)
    expect(trace).toEqual(['reserve', 'let go', 'reserve', 'let go'])
  })

  it('a relay that is gone is given up at once, and reserved again without a delay when it is back', async () => {
    const clock = virtualClock()
    const trace: string[] = []
    let say: ((finding: Finding) => void) | undefined
    const lease: Lease = {
      addresses: ['/ip4/40.0.0.1/tcp/4001/p2p/r1/p2p-circuit'],
      lifetimeMs: 3_600_000,
      renew: async () => lease,
      release: async () => void trace.push('let go')
    }
    const relay = oneRelay(async () => (trace.push('reserve'), lease))
    const each = stage(() => [finding(clock, relay, (found) => (say = found))], { clock })
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report()).toMatchObject({ verdict: 'relayed', externalAddresses: lease.addresses })
    say?.({ kind: 'notice', what: 'gone', about: relay })
    await clock.advance(10)
    expect(each.traversal.report()).toMatchObject({ verdict: 'private', externalAddresses: [] })
    say?.(relay)
    await clock.advance(10)
    expect(each.traversal.report().verdict).toBe('relayed')
    expect(trace).toEqual(['reserve', 'let go', 'reserve'])
    await end(each)
  })

  it('all relays are kept if the direct address is lost before their release', async () => {
    const clock = virtualClock()
    const answers: Record<string, Answer> = { a: 'inconclusive', b: 'inconclusive' }
    const each = stage(
      (trace) => [
        scripted('pcp', trace, clock).strategy,
        relays(['r1', 'r2'], clock, trace),
        witnesses(answers, clock)
      ],
      { clock }
    )
    each.traversal.addEndpoint(web)
    await begin(each, 20_000)
    expect(each.trace).toEqual(['reserve r1', 'map pcp 8080', 'reserve r2'])
    Object.assign(answers, { a: 'reachable', b: 'reachable' })
    await clock.advance(50_000)
    expect(each.traversal.report().verdict).toBe('public')
    Object.assign(answers, { a: 'unreachable', b: 'unreachable' })
    each.traversal.setNetwork({ ...home, addresses: ['192.168.1.2', '192.168.1.3'] })
    await clock.advance(5000)
    expect(each.traversal.report().verdict).toBe('relayed')
    expect(each.trace.filter((line) => line.startsWith('let go'))).toEqual([])
    await end(each)
  })
})

describe('an address of a gateway that has stopped answering', () => {
  it('an address is verified again at once when its gateway stops answering, and withdrawn if witnesses cannot reach it', async () => {
    const clock = virtualClock()
    const answers: Record<string, Answer> = { a: 'reachable', b: 'reachable' }
    const each = stage(
      (trace) => [
        scripted('pcp', trace, clock, {
          renew() {
            throw natError('REFUSED', 'the daemon is gone')
          }
        }).strategy,
        witnesses(answers, clock)
      ],
      { clock }
    )
    each.traversal.addEndpoint(web)
    await begin(each, 10_000)
    Object.assign(answers, { a: 'unreachable', b: 'unreachable' })
    each.traversal.recheck()
    await clock.advance(1000)
    expect(each.told().at(-1)).toBe('refuted pcp 11.0.0.2:8080')
    await end(each)
  })
})

describe('an address that was lost', () => {
  it('an address that was lost is verified afresh when it comes back, however soon', async () => {
    const clock = virtualClock()
    const asked: string[] = []
    const trace: string[] = []
    const pcp = scripted('pcp', trace, clock, {
      takesMs: 1,
      renew() {
        throw natError('NO_REPLY', 'it was starting again')
      }
    })
    const each = stage(() => [pcp.strategy, witnesses({ a: 'reachable', b: 'reachable' }, clock, asked)], { clock })
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(asked).toHaveLength(2)
    pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    await clock.advance(12_000)
    expect(each.told()).toEqual([
      'mapped pcp 11.0.0.2:8080',
      'verified pcp 11.0.0.2:8080',
      'lost pcp 11.0.0.2:8080',
      'mapped pcp 11.0.0.2:8080',
      'verified pcp 11.0.0.2:8080'
    ])
    expect(asked).toHaveLength(6)
    await end(each)
  })
})
