import { type Lease, natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type Memory, memoryStore } from '../../src/index.js'
import {
  begin,
  end,
  home,
  router,
  type Scripted,
  type Stage,
  type StageOptions,
  scripted,
  stage,
  web
} from '../support.js'

/** Returns when the requests of a kind were made, in ms. */
function timed(clock: Stage['clock'], trace: string[], what: string): readonly number[] {
  const at: number[] = []
  const push = trace.push.bind(trace)
  trace.push = (...lines) => {
    for (const line of lines) if (line.startsWith(what)) at.push(clock.monotonicMs())
    return push(...lines)
  }
  return at
}

/** Sets up a traversal with one mapper, and what is needed to drive it. */
function keeper(
  options: Parameters<typeof scripted>[3],
  more: StageOptions = {}
): Stage & { readonly pcp: Scripted; readonly renewals: readonly number[] } {
  const clock = virtualClock()
  const trace: string[] = []
  const renewals = timed(clock, trace, 'renew')
  const pcp = scripted('pcp', trace, clock, options)
  const each = stage(() => [pcp.strategy], { ...more, clock })
  return { ...each, trace, pcp, renewals }
}

describe('renewing', () => {
  it('a renewal is never sent sooner than 4 s after the grant, however short the lease', async () => {
    const each = keeper({ lifetimeMs: 1000 })
    const maps = timed(each.clock, each.trace, 'map')
    each.traversal.addEndpoint(web)
    await begin(each, 60_000)
    expect(each.renewals).toEqual([])
    for (const [index, at] of maps.slice(1).entries()) expect(at - (maps[index] ?? 0)).toBeGreaterThanOrEqual(4000)
    // With back-off: such short leases are useless.
    expect(maps.map((at) => Math.round(at / 1000))).toEqual([0, 6, 17, 38])
    expect(each.told().slice(0, 2)).toEqual(['mapped pcp 11.0.0.2:8080', 'lost pcp 11.0.0.2:8080'])
    await end(each)
  })

  it('a request keeps 4 s from the last one when the network went and came back, whether that was answered or not', async () => {
    const each = keeper({
      renew() {
        throw natError('NO_REPLY', 'the answer was lost')
      }
    })
    const maps = timed(each.clock, each.trace, 'map')
    each.traversal.addEndpoint(web)
    await begin(each, 1000)
    const unplug = async (): Promise<void> => {
      each.traversal.setNetwork({ gateways: [], addresses: [] })
      await each.clock.advance(100)
      each.traversal.setNetwork(home)
    }
    await unplug()
    await each.clock.advance(10_000)
    each.traversal.recheck()
    while (each.renewals.length === 0) await each.clock.advance(100)
    await unplug()
    await each.clock.advance(10_000)
    expect(maps).toHaveLength(3)
    expect((maps[1] ?? 0) - (maps[0] ?? 0)).toBeGreaterThanOrEqual(4000)
    expect((maps[2] ?? 0) - (each.renewals[0] ?? 0)).toBeGreaterThanOrEqual(4000)
    await end(each)
  })

  it('a lease of 6 s stays alive without a gap', async () => {
    const each = keeper({ lifetimeMs: 6000 })
    each.traversal.addEndpoint(web)
    await begin(each, 600_000)
    expect(each.told()).not.toContain('lost pcp 11.0.0.2:8080')
    for (const [index, at] of each.renewals.slice(1).entries()) {
      expect(at - (each.renewals[index] ?? 0)).toBeGreaterThanOrEqual(4000)
    }
    await end(each)
  })

  it('a renewal that fails backs off within the lifetime, and the schedule goes on', async () => {
    const fail = (): never => {
      throw natError('NO_REPLY', 'gone')
    }
    const each = keeper({ renew: fail })
    each.traversal.addEndpoint(web)
    await begin(each, 7_000_000)
    // Polls begin after 15 min and back off; nothing is sent before them.
    expect(each.renewals[0]).toBeGreaterThanOrEqual(900_000)
    expect(each.renewals.length).toBeLessThan(25)
    // The last quarter of the lifetime is used too (RFC 6887 §11.2.1).
    const late = each.renewals.filter((at) => at > 5_400_000)
    expect(late.length).toBeGreaterThanOrEqual(3)
    for (const [index, at] of each.renewals.slice(1).entries()) {
      expect(at - (each.renewals[index] ?? 0)).toBeGreaterThanOrEqual(4000)
    }
    await end(each)
  })

  it('a renewal that gets no answer shows in the report at once, and no longer after one that does', async () => {
    let isDown = true
    const each = keeper({
      renew() {
        if (isDown) throw natError('NO_REPLY', 'down')
      }
    })
    const strategies: unknown[] = []
    each.traversal.addEventListener('strategy', ({ detail }) => strategies.push([detail.state, detail.reason?.code]))
    each.traversal.addEndpoint(web)
    await begin(each, 890_000)
    while (each.renewals.length === 0) await each.clock.advance(100)
    await each.clock.advance(100)
    expect(each.traversal.report().strategies[0]).toMatchObject({ state: 'active', reason: { code: 'NO_REPLY' } })
    expect(strategies.at(-1)).toEqual(['active', 'NO_REPLY'])
    expect(each.renewals).toHaveLength(1)
    isDown = false
    await each.clock.advance(900_000)
    expect(each.traversal.report().strategies[0]).toMatchObject({ state: 'active', reason: null })
    expect(strategies.at(-1)).toEqual(['active', undefined])
    await end(each)
  })

  it('a renewal that fails at first loses no lease once the router is back', async () => {
    let isDown = true
    const each = keeper({
      renew() {
        if (isDown) throw natError('NO_REPLY', 'down')
      }
    })
    each.traversal.addEndpoint(web)
    await begin(each, 1_200_000)
    isDown = false
    await each.clock.advance(900_000)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080', 'renewed pcp 11.0.0.2:8080'])
    await end(each)
  })

  it('a renewal waits as long as the router asked, even after a hint', async () => {
    const each = keeper({
      renew(count) {
        if (count === 1) throw natError('OUT_OF_RESOURCES', 'not now', { retryAfterMs: 1_800_000 })
      }
    })
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    each.traversal.recheck()
    await each.clock.advance(1000)
    expect(each.renewals).toHaveLength(1)
    for (let count = 0; count < 5; count++) {
      each.traversal.recheck()
      each.traversal.setNetwork({ ...home, addresses: ['192.168.1.2', `192.168.1.${10 + count}`] })
      await each.clock.advance(300_000)
    }
    expect(each.renewals).toHaveLength(1)
    await each.clock.advance(400_000)
    expect(each.renewals).toHaveLength(2)
    await end(each)
  })

  it('a renewal does not wait for a retry-after from before a router restart', async () => {
    const each = keeper({
      renew(count) {
        if (count === 1) throw natError('OUT_OF_RESOURCES', 'not now', { retryAfterMs: 1_800_000 })
      }
    })
    each.traversal.addEndpoint(web)
    await begin(each, 1000)
    each.traversal.recheck()
    await each.clock.advance(20_000)
    each.pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    await each.clock.advance(6000)
    expect(each.told().at(-1)).toBe('renewed pcp 11.0.0.2:8080')
    await end(each)
  })
})

describe('a router restart', () => {
  it('a restarted router is not asked within 4 s after a failed attempt, which may have been carried out', async () => {
    const each = keeper(
      {
        renew(count) {
          if (count === 1) throw natError('NO_REPLY', 'the answer was lost')
        }
      },
      { random: () => 0 }
    )
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    each.traversal.recheck()
    await each.clock.advance(100)
    each.pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    await each.clock.advance(6000)
    const [failed = 0, again = 0] = each.renewals
    expect(again - failed).toBeGreaterThanOrEqual(4000)
    expect(again - failed).toBeLessThan(4100)
    await end(each)
  })
})

describe('a lease that lapses', () => {
  /** Sets up a mapper that grants once and then never answers. */
  const dying = (lifetimeMs: number): ReturnType<typeof keeper> => {
    const each = keeper({
      lifetimeMs,
      shape: (lease: Lease) => ({ ...lease, renew: (call) => each.clock.sleep(1e9, call).then(() => lease) })
    })
    return each
  }

  it('a lease that expires during its renewal is withdrawn at once', async () => {
    const each = dying(20_000)
    each.traversal.addEndpoint(web)
    await begin(each, 20_000)
    expect(each.traversal.report().externalAddresses).toHaveLength(1)
    await each.clock.advance(1)
    expect(each.traversal.report().externalAddresses).toEqual([])
    expect(each.told().at(-1)).toBe('lost pcp 11.0.0.2:8080')
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('a lease that expires while its renewal is queued is withdrawn at once', async () => {
    const each = dying(60_000)
    for (let port = 9000; port < 9100; port++) each.traversal.addEndpoint({ ...web, port })
    await begin(each, 60_000)
    expect(each.traversal.report().externalAddresses).toHaveLength(100)
    await each.clock.advance(100)
    expect(each.traversal.report().externalAddresses).toEqual([])
    expect(each.told().filter((line) => line.startsWith('lost'))).toHaveLength(100)
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('a lease that expires during sleep is no longer reported, even before its event is emitted', async () => {
    const each = keeper({})
    each.traversal.addEndpoint(web)
    await begin(each)
    each.clock.jumpWall(7_200_000)
    expect(each.traversal.report()).toMatchObject({ externalAddresses: [], candidates: [] })
    await end(each)
  })

  it('a lease with a renewal that arrives after its expiry is released or mapped again, as one mapping', async () => {
    let delayMs = 1
    const each = keeper({
      lifetimeMs: 20_000,
      shape: (lease: Lease) => ({
        ...lease,
        async renew(call) {
          await each.clock.sleep(delayMs, { signal: new AbortController().signal })
          return lease.renew(call)
        }
      })
    })
    each.traversal.addEndpoint(web)
    await begin(each, 9000)
    delayMs = 1900
    await each.clock.advance(100_000)
    delayMs = 1
    await each.clock.advance(20_000)
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    expect([...each.pcp.mapped]).toEqual([8080])
    await end(each)
    expect([...each.pcp.mapped]).toEqual([])
    expect(each.clock.pending).toBe(0)
  })
})

describe('recoveries', () => {
  it('a recovery asks for the mappings within 6 s of an announcement', async () => {
    const each = keeper({ lifetimeMs: 86_400_000 }, { policy: { recheckIntervalMs: Number.POSITIVE_INFINITY } })
    each.traversal.addEndpoint(web)
    await begin(each, 60_000)
    const toldMs = each.clock.monotonicMs()
    each.pcp.say((about) => ({ kind: 'notice', what: 'announced', about }))
    await each.clock.advance(20_000)
    expect(each.renewals).toHaveLength(1)
    expect((each.renewals[0] ?? 0) - toldMs).toBeLessThanOrEqual(6000)
    await end(each)
  })

  const flood = async (each: ReturnType<typeof keeper>, seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) {
      each.pcp.say((about) => ({ kind: 'notice', what: 'address-changed', about }))
      await each.clock.advance(1000)
    }
  }

  it('recoveries keep an interval that doubles to 5 min while they change nothing', async () => {
    const each = keeper({ lifetimeMs: 86_400_000 }, { policy: { recheckIntervalMs: Number.POSITIVE_INFINITY } })
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    await flood(each, 2000)
    const gaps = each.renewals.slice(1).map((at, index) => Math.round((at - (each.renewals[index] ?? 0)) / 1000))
    expect(gaps).toEqual([10, 20, 40, 80, 160, 300, 300, 300, 300, 300])
    await end(each)
  })

  it('a recovery may follow after 10 s if the one before changed something', async () => {
    const each = keeper({ lifetimeMs: 86_400_000 }, { policy: { recheckIntervalMs: Number.POSITIVE_INFINITY } })
    each.traversal.addEndpoint(web)
    await begin(each)
    await flood(each, 200)
    each.pcp.externalAddress = '11.0.0.50'
    while (each.told().at(-1) !== 'changed pcp 11.0.0.50:8080') await flood(each, 1)
    each.pcp.externalAddress = '11.0.0.51'
    await flood(each, 12)
    expect(each.told().at(-1)).toBe('changed pcp 11.0.0.51:8080')
    await end(each)
  })

  it('a recovery from a restart comes within 5.5 s, however many hints were forged before', async () => {
    const each = keeper({ lifetimeMs: 86_400_000 }, { random: () => 0.999 })
    each.traversal.addEndpoint(web)
    await begin(each)
    await flood(each, 700)
    const before = each.renewals.length
    each.pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    await each.clock.advance(5600)
    expect(each.renewals).toHaveLength(before + 1)
    await end(each)
  })

  it('a recovery from a restart waits up to 5 s, also just after a hint', async () => {
    const each = keeper({ lifetimeMs: 86_400_000 }, { random: () => 0.999 })
    each.traversal.addEndpoint(web)
    await begin(each)
    each.pcp.say((about) => ({ kind: 'notice', what: 'address-changed', about }))
    await each.clock.advance(100)
    each.pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    await each.clock.advance(5000)
    expect(each.renewals).toEqual([])
    await each.clock.advance(600)
    expect(each.renewals).toHaveLength(1)
    await end(each)
  })

  it('a recovery from a restart skips what was renewed since, such as the lease with the answer that revealed it', async () => {
    const trace: string[] = []
    const clock = virtualClock()
    const pcp = scripted('pcp', trace, clock, {
      renew(count) {
        if (count === 1) pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
      }
    })
    const each = stage(() => [pcp.strategy], { clock })
    for (const port of [9001, 9002, 9003]) each.traversal.addEndpoint({ ...web, port })
    await begin(each, 5000)
    trace.length = 0
    await clock.advance(15 * 60_000 + 5500)
    expect(trace).toEqual(['renew pcp 9001', 'renew pcp 9002', 'renew pcp 9003'])
    await end(each)
  })

  it.each([
    [200, 'before they come'],
    [9000, 'long after they came']
  ])(
    'a recovery from a restart comes once, although another strategy reports the restart %i ms later, %s',
    async (laterMs) => {
      const trace: string[] = []
      const clock = virtualClock()
      const lasting = { lifetimeMs: 86_400_000 }
      const pcp = scripted('pcp', trace, clock, lasting)
      const natPmp = scripted('nat-pmp', trace, clock, lasting)
      const each = stage(() => [pcp.strategy, natPmp.strategy], { clock })
      each.traversal.addEndpoint(web)
      await begin(each, 20_000)
      trace.length = 0
      for (const strategy of [pcp, natPmp]) {
        strategy.say((about) => ({ kind: 'notice', what: 'restarted', about }))
        await clock.advance(laterMs)
      }
      await clock.advance(30_000)
      expect(trace).toEqual(['renew pcp 8080'])
      // A second report of one strategy is another restart.
      natPmp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
      await clock.advance(60_000)
      expect(trace).toEqual(['renew pcp 8080', 'renew pcp 8080'])
      await end(each)
    }
  )

  it('a recovery from a second restart renews what was renewed between the two', async () => {
    const each = keeper({ lifetimeMs: 86_400_000 }, { random: () => 0.999 })
    const restarted = (): void => each.pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    restarted()
    each.traversal.recheck()
    await each.clock.advance(100)
    expect(each.renewals).toHaveLength(1)
    restarted()
    await each.clock.advance(5500)
    expect(each.renewals).toHaveLength(2)
    await end(each)
  })

  it('a second report of a restart does not renew a lease within 4 s of its last renewal', async () => {
    const each = keeper({ lifetimeMs: 86_400_000 }, { random: () => 0 })
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    each.traversal.recheck()
    await each.clock.advance(100)
    expect(each.renewals).toHaveLength(1)
    // Another protocol of the same router reports it later than the one that renewed the lease.
    each.pcp.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    await each.clock.advance(6000)
    const [first = 0, second = 0] = each.renewals
    expect(each.renewals).toHaveLength(2)
    expect(second - first).toBeGreaterThanOrEqual(4000)
    expect(second - first).toBeLessThan(4100)
    await end(each)
  })

  it('a recovery reaches a gateway that the user named and that is not the next hop', async () => {
    const clock = virtualClock()
    const trace: string[] = []
    const pcp = scripted('pcp', trace, clock, { gateway: { ...router, address: '10.9.9.9' } })
    const each = stage(() => [(host) => ({ ...pcp.strategy(host), gateway: '10.9.9.9' })], { clock })
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    clock.jumpWall(3_000_000)
    each.traversal.setNetwork(home)
    await clock.advance(1000)
    expect(trace).toEqual(['map pcp 8080', 'renew pcp 8080'])
    await end(each)
  })
})

describe('a discovery that has found nothing for 15 min', () => {
  it('a discovery that has found nothing for 15 min restarts at once, so that no announcement is missed', async () => {
    const clock = virtualClock()
    const periods: [number, number][] = []
    const each = stage(
      () => [
        () => ({
          name: 'pcp',
          kind: 'mapper',
          async discover(_network, _found, call) {
            const from = clock.monotonicMs()
            await clock.sleep(1e12, call).catch(() => undefined)
            periods.push([from, clock.monotonicMs()])
          }
        })
      ],
      { clock }
    )
    each.traversal.addEndpoint(web)
    await begin(each, 3_600_000)
    await end(each)
    for (const [index, [from]] of periods.slice(1).entries()) expect(from).toBe(periods[index]?.[1])
    expect(periods.length).toBeGreaterThanOrEqual(4)
  })
})

describe('what is remembered', () => {
  it('a new memory is written at once, and an extended one at most once a minute', async () => {
    let saves = 0
    let last: readonly Memory[] = []
    const inner = memoryStore()
    const store = { load: inner.load, save: async (all: readonly Memory[]) => void (saves++, (last = all)) }
    const each = keeper({ lifetimeMs: 120_000 }, { store })
    for (let port = 9000; port < 9100; port++) each.traversal.addEndpoint({ ...web, port })
    await begin(each)
    expect(last.filter(({ externalPort }) => externalPort !== null)).toHaveLength(100)
    const before = saves
    await each.clock.advance(3_600_000)
    // Six thousand renewals.
    expect(each.renewals.length).toBeGreaterThan(4500)
    expect(saves - before).toBeLessThanOrEqual(61)
    const wall = each.clock.wallMs()
    for (const { expiresAt } of last) expect(expiresAt).toBeGreaterThan(wall)
    await end(each)
    expect(last).toEqual([])
  })

  it('a remembered mapping is not deleted at the start if it became wanted just then', async () => {
    const clock = virtualClock()
    const store = memoryStore()
    const crashed = stage((trace) => [scripted('pcp', trace, clock).strategy], { store, clock })
    crashed.traversal.addEndpoint({ ...web, port: 7777 })
    await begin(crashed)
    const kept = memoryStore(await store.load())
    const again = keeper({ takesMs: 900 }, { store: kept })
    again.traversal.addEndpoint(web)
    again.traversal.addEndpoint({ ...web, port: 8081 })
    await begin(again, 9000)
    // The gateway is busy when the deletion is queued, and the endpoint is wanted when its turn comes.
    again.traversal.recheck()
    await again.clock.advance(1200)
    again.traversal.addEndpoint({ ...web, port: 7777 })
    await again.clock.advance(10_000)
    expect(again.pcp.mapped).toEqual(new Set([7777, 8080, 8081]))
    expect(again.trace).not.toContain('release pcp 7777')
    await end(again)
    await end(crashed)
  })
})
