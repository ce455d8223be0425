import type { Gateway, Network, Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createBus } from '../../src/async/bus.js'
import { createGatewayQueues } from '../../src/discovery/gateway-queues.js'
import { createGatewayRecovery } from '../../src/mapping/gateway-recovery.js'
import { defaultPolicy } from '../../src/model/policy.js'
import type { Signals } from '../../src/signals.js'
import { begin, end, home, router, type Stage, scripted, stage, web, witnesses } from '../support.js'

const forged = (index: number): Gateway => ({
  address: `fe80::bad:${index.toString(16)}%eth0`,
  interface: 'eth0',
  localAddress: '2a00::5'
})
const real: Gateway = { address: 'fe80::1%eth0', interface: 'eth0', localAddress: '2a00::5' }
const both: Network = { gateways: [router, real], addresses: ['192.168.1.2', '2a00::5'] }

interface Watched extends Stage {
  readonly searches: number[]
  readonly networks: Network[]
}

/** A mapper on IPv4, and a strategy that records when and on which gateways it searches. */
function watched(network: Network = both): Watched {
  const searches: number[] = []
  const networks: Network[] = []
  const clock = virtualClock()
  const looking: Strategy = () => ({
    name: 'looking',
    async discover(on) {
      searches.push(clock.monotonicMs())
      networks.push(on)
    }
  })
  const each = stage((trace) => [scripted('pcp', trace, clock).strategy, looking], { clock, network })
  each.traversal.addEndpoint(web)
  return { ...each, searches, networks }
}

describe('forged default routes', () => {
  it('default routes beyond four of a family reach no strategy', async () => {
    const gateways = Array.from({ length: 1000 }, (_, index) => forged(index + 1))
    const each = watched({ gateways: [router, real, ...gateways], addresses: [] })
    await begin(each)
    expect(each.networks[0]?.gateways).toEqual([router, real, ...gateways.slice(0, 3)])
    await end(each)
  })

  it('default routes that are not used cause no search, however often they come and go', async () => {
    const each = watched()
    await begin(each, 5000)
    const searches = each.searches.length
    each.trace.length = 0
    for (let count = 1; count <= 100; count++) {
      each.traversal.setNetwork({
        ...both,
        gateways: [...both.gateways, forged(count), { ...router, address: `192.168.1.${count + 9}` }]
      })
      await each.clock.advance(2500)
      each.traversal.setNetwork(both)
      await each.clock.advance(2500)
    }
    expect(each.searches).toHaveLength(searches)
    expect(each.trace).toEqual([])
    await end(each)
  })

  it('default routes that are used cause searches at growing intervals', async () => {
    const each = watched()
    await begin(each, 5000)
    const before = each.searches.length
    for (let count = 1; count <= 1440; count++) {
      each.traversal.setNetwork({ ...both, gateways: [router, forged(count)] })
      await each.clock.advance(2500)
    }
    // 0.5 s, 1 s, … 256 s, then every 300 s, in an hour.
    expect(each.searches.length - before).toBeLessThanOrEqual(22)
    expect(each.told().filter((line) => line.startsWith('lost'))).toEqual([])
    const lastMs = each.clock.monotonicMs()
    await each.clock.advance(300_000)
    // The last state of the network is searched.
    expect(each.searches.at(-1)).toBeGreaterThan(lastMs - 300_000)
    expect(each.networks.at(-1)?.gateways[1]).toEqual(forged(1440))
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('forged IPv6 routes do not delay the search of another IPv4 network, and a calm network is searched at once again', async () => {
    const each = watched()
    await begin(each, 5000)
    for (let count = 1; count <= 200; count++) {
      each.traversal.setNetwork({ ...both, gateways: [router, forged(count)] })
      await each.clock.advance(2500)
    }
    const moved = { ...router, address: '10.0.0.1', localAddress: '10.0.0.2' }
    const before = each.clock.monotonicMs()
    each.traversal.setNetwork({ gateways: [moved, forged(200)], addresses: ['10.0.0.2', '2a00::5'] })
    await each.clock.advance(500)
    expect(each.searches.at(-1)).toBeGreaterThanOrEqual(before)
    await each.clock.advance(600_000)
    const calm = each.searches.length
    each.traversal.setNetwork({ gateways: [moved, real], addresses: ['10.0.0.2', '2a00::5'] })
    await each.clock.advance(500)
    expect(each.searches).toHaveLength(calm + 1)
    await end(each)
  })

  it('hints of a router that is not used cause no verification', async () => {
    const clock = virtualClock()
    const trace: string[] = []
    const asked: string[] = []
    const used = scripted('pcp', trace, clock)
    const other = scripted('nat-pmp', trace, clock, { gateway: { ...router, address: '192.168.1.66' } })
    const parties = witnesses({ a: 'reachable', b: 'reachable' }, clock, asked)
    const each = stage(() => [used.strategy, other.strategy, parties], { clock })
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    trace.length = 0
    asked.length = 0
    for (let count = 0; count < 10; count++) {
      other.say((about) => ({ kind: 'notice', what: 'address-changed', about }))
      await clock.advance(10_000)
    }
    expect([trace, asked]).toEqual([[], []])
    used.say((about) => ({ kind: 'notice', what: 'address-changed', about }))
    await clock.advance(10_000)
    expect(trace).toEqual(['renew pcp 8080'])
    expect(asked).not.toEqual([])
    await end(each)
  })
})

describe('what is kept of a gateway', () => {
  it('the queue of a gateway is forgotten after many others were used, unless a request is pending', async () => {
    const queues = createGatewayQueues(virtualClock(), 2000)
    const busy = queues.of(forged(1))
    const done = Promise.withResolvers<void>()
    const serving = busy.run('pcp', () => done.promise)
    const idle = queues.of(forged(2))
    const used = queues.of(router)
    for (let count = 3; count < 1000; count++) {
      queues.of(forged(count))
      expect(queues.of(router)).toBe(used)
    }
    expect(queues.of(forged(1))).toBe(busy)
    expect(queues.of(forged(2))).not.toBe(idle)
    done.resolve()
    await serving
  })

  it('recoveries keep the interval of a gateway in use, and every pending hint', async () => {
    const clock = virtualClock()
    const told: string[] = []
    const host = { clock, random: () => 0, log: { debug: () => undefined, info: () => undefined } }
    const bus = createBus<Signals>()
    bus.on('gatewayDoubted', ({ gateway }) => told.push(gateway))
    const gatewayRecovery = createGatewayRecovery({ host, policy: defaultPolicy, bus })
    const call = { signal: new AbortController().signal }
    for (let count = 0; count < 500; count++) gatewayRecovery.trigger(`forged ${count}`, 'hint', call)
    gatewayRecovery.trigger('router', 'hint', call)
    await clock.advance(1000)
    expect(new Set(told).size).toBe(501)
    told.length = 0
    for (let count = 0; count < 20; count++) {
      gatewayRecovery.trigger('router', 'hint', call)
      gatewayRecovery.trigger(`another ${count}`, 'hint', call)
      await clock.advance(1000)
    }
    // At 10 s, and not again before 30 s.
    expect(told.filter((gateway) => gateway === 'router')).toHaveLength(1)
  })
})

it('a hardware address that becomes known, or another order of addresses, causes no search; another hardware address does', async () => {
  const at: Network = { ...home, addresses: ['192.168.1.2', '192.168.1.3'] }
  const each = watched(at)
  await begin(each, 5000)
  const mac = 'aa:bb:cc:dd:ee:ff'
  const { length } = each.searches
  each.traversal.setNetwork({ gateways: [{ ...router, mac }], addresses: at.addresses.toReversed() })
  await each.clock.advance(5000)
  expect(each.searches).toHaveLength(length)
  each.traversal.setNetwork({ ...at, gateways: [{ ...router, mac: '00:bb:cc:dd:ee:ff' }] })
  await each.clock.advance(5000)
  expect(each.searches).toHaveLength(length + 1)
  await end(each)
})
