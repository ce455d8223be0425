import type { CallOptions, Finding, Host, Lease, Mapper, MapRequest, Strategy } from '@postern/interface'
import {
  createGateway,
  type FakeGateway,
  type MemoryNetwork,
  memoryNetwork,
  type VirtualClock,
  virtualClock
} from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { ours, router, type StrategyName, strategyNames, strategyOf } from './scene.js'

const network = { gateways: [{ address: router, interface: 'eth0', localAddress: ours }], addresses: [ours] }
const request: MapRequest = {
  endpoint: { protocol: 'tcp', family: 4, address: ours, port: 8080 },
  suggestedExternalPort: 8080,
  lifetimeMs: 7_200_000,
  key: new Uint8Array(16).fill(7)
}
const call = (): CallOptions => ({ signal: new AbortController().signal })
const enough = new Error('enough')

/** How time passes until the abort: turn by turn of the microtask queue, with everything else at one moment, or ms by
 * ms, with a delay for every datagram. */
const paces = [
  {
    pace: 'microtask',
    delayMs: 0,
    async pass(_clock: VirtualClock, count: number) {
      for (let turn = 0; turn < count; turn++) await Promise.resolve()
    }
  },
  { pace: 'millisecond', delayMs: 3, pass: (clock: VirtualClock, count: number) => clock.advance(count) }
] as const

/** More turns than any verb takes. */
const maxTurns = 3000

interface Bench {
  readonly clock: VirtualClock
  readonly gateway: FakeGateway
  readonly link: MemoryNetwork
  readonly discovery: ReturnType<Strategy>
}

function open(name: StrategyName, delayMs: number): Bench {
  const clock = virtualClock()
  const link = memoryNetwork({ clock, delayMs })
  const gateway = createGateway({ clock, externalAddress: '11.0.0.2', protocols: [name] })
  link.attach(gateway, router)
  const host: Host = { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
  return { clock, gateway, link, discovery: strategyOf(name, link.host(ours))(host) }
}

interface Outcome<T> {
  readonly state: 'pending' | 'fulfilled' | 'rejected'
  readonly value?: T
  readonly reason?: unknown
}

function watch<T>(work: Promise<T>): () => Outcome<T> {
  let outcome: Outcome<T> = { state: 'pending' }
  work.then(
    (value) => (outcome = { state: 'fulfilled', value }),
    (reason: unknown) => (outcome = { state: 'rejected', reason })
  )
  return () => outcome
}

/** Lets virtual time pass until the promise is settled. */
async function settle<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  const outcome = watch(work)
  for (let passed = 0; outcome().state === 'pending' && passed < 60_000; passed += 20) await clock.advance(20)
  return work
}

/** Starts a discovery that goes on, and returns the mapper that it has found. */
async function discovering({ clock, discovery }: Bench): Promise<{ readonly mapper: Mapper; stop(): Promise<void> }> {
  const end = new AbortController()
  const found: Finding[] = []
  const running = discovery.discover(network, (finding) => found.push(finding), end)
  await clock.advance(2000)
  const mapper = found.find((finding) => finding.kind === 'mapper')
  if (mapper?.kind !== 'mapper') throw new Error('no mapper was found')
  return {
    mapper,
    async stop() {
      end.abort(enough)
      await settle(
        clock,
        running.catch(() => undefined)
      )
    }
  }
}

/** Repeats a trial with an abort one turn later each time, until the trial ends before the abort. */
async function sweep(trial: (turns: number) => Promise<'aborted' | 'done'>): Promise<void> {
  for (let turns = 0; turns < maxTurns; turns++) if ((await trial(turns)) === 'done') return
  throw new Error(`not done after ${maxTurns} turns`)
}

function expectClean({ clock, gateway, link }: Bench, but = 'nothing'): void {
  expect(link.openSockets).toBe(0)
  expect(clock.pending).toBe(0)
  expect(gateway.violations.filter((violation) => !violation.includes(but))).toEqual([])
}

describe.each(strategyNames)('%s, aborted', (name) => {
  describe.each(paces)('after each $pace', ({ delayMs, pass }) => {
    it('an abort of discover leaves nothing open', async () => {
      let last = 0
      await sweep(async (turns) => {
        const bench = open(name, delayMs)
        const { clock, discovery } = bench
        const cut = new AbortController()
        const found: Finding[] = []
        const outcome = watch(discovery.discover(network, (finding) => found.push(finding), cut))
        await pass(clock, turns)
        cut.abort(enough)
        const count = found.length
        await clock.advance(500)
        expect(outcome().state).not.toBe('pending')
        if (outcome().state === 'rejected') expect(outcome().reason).toBe(enough)
        expect(found).toHaveLength(count)
        expectClean(bench)
        // Discovery goes on for ever: stop some time after the first finding.
        last = count > 0 ? last + 1 : 0
        return last > 20 ? 'done' : 'aborted'
      })
    })

    it('an abort of map leaves no mapping after 500 ms', async () => {
      await sweep(async (turns) => {
        const bench = open(name, delayMs)
        const { clock, gateway } = bench
        const { mapper, stop } = await discovering(bench)
        const cut = new AbortController()
        const outcome = watch(mapper.map(request, cut))
        await pass(clock, turns)
        const before = outcome().state
        cut.abort(enough)
        await clock.advance(500)
        expect(outcome().state).not.toBe('pending')
        if (outcome().state === 'rejected') expect(outcome().reason).toBe(enough)
        // The grant came at the moment of the abort: the caller that has the lease releases it.
        else await settle(clock, outcome().value?.release(call()) ?? Promise.reject(enough))
        expect(gateway.mappings).toEqual([])
        await stop()
        expectClean(bench)
        return before === 'pending' ? 'aborted' : 'done'
      })
    })

    it('an abort of renew leaves the one mapping, which can still be released', async () => {
      await sweep(async (turns) => {
        const bench = open(name, delayMs)
        const { clock, gateway } = bench
        const { mapper, stop } = await discovering(bench)
        const lease = await settle(clock, mapper.map(request, call()))
        await clock.advance(3_600_000)
        const cut = new AbortController()
        const outcome = watch(lease.renew(cut))
        await pass(clock, turns)
        const before = outcome().state
        cut.abort(enough)
        await clock.advance(500)
        expect(outcome().state).not.toBe('pending')
        if (outcome().state === 'rejected') expect(outcome().reason).toBe(enough)
        expect(gateway.mappings).toHaveLength(1)
        const last: Lease = outcome().value ?? lease
        await settle(clock, last.release(call()))
        expect(gateway.mappings).toEqual([])
        await stop()
        expectClean(bench)
        return before === 'pending' ? 'aborted' : 'done'
      })
    })

    it('a release after an aborted release deletes the mapping', async () => {
      await sweep(async (turns) => {
        const bench = open(name, delayMs)
        const { clock, gateway } = bench
        const { mapper, stop } = await discovering(bench)
        const lease = await settle(clock, mapper.map(request, call()))
        const cut = new AbortController()
        const outcome = watch(lease.release(cut))
        await pass(clock, turns)
        const before = outcome().state
        cut.abort(enough)
        await clock.advance(500)
        expect(outcome().state).not.toBe('pending')
        if (outcome().state === 'rejected') expect(outcome().reason).toBe(enough)
        await settle(clock, lease.release(call()))
        expect(gateway.mappings).toEqual([])
        await stop()
        expectClean(bench)
        return before === 'pending' ? 'aborted' : 'done'
      })
    })
  })

  it('an abort leaves no mapping if the gateway carries out the request without answering', async () => {
    for (let turns = 0; turns < 400; turns += 7) {
      const bench = open(name, 3)
      const { clock, gateway } = bench
      const { mapper, stop } = await discovering(bench)
      gateway.inject({ kind: 'silent', carriedOut: true, on: ['pcp', 'nat-pmp', 'control'] })
      const cut = new AbortController()
      const outcome = watch(mapper.map(request, cut))
      await clock.advance(turns)
      gateway.clearFaults()
      cut.abort(enough)
      await clock.advance(500)
      expect(outcome()).toMatchObject({ state: 'rejected', reason: enough })
      expect(gateway.mappings).toEqual([])
      await stop()
      expectClean(bench)
    }
  })

  it('an answer after the abort is ignored', async () => {
    const bench = open(name, 0)
    const { clock, gateway } = bench
    const { mapper, stop } = await discovering(bench)
    gateway.inject({ kind: 'late', ms: 300, times: 1 })
    const cut = new AbortController()
    const outcome = watch(mapper.map(request, cut))
    await clock.advance(100)
    cut.abort(enough)
    await clock.advance(2000)
    expect(outcome()).toMatchObject({ state: 'rejected', reason: enough })
    expect(gateway.mappings).toEqual([])
    const lease = await settle(clock, mapper.map(request, call()))
    expect(lease.addresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    await settle(clock, lease.release(call()))
    await stop()
    // The contract's 500 ms are too short to wait for the answer before the deletion is sent.
    expectClean(bench, 'wants one at a time')
  })
})
