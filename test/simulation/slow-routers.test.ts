import { createTraversal, type MappingEvent, memoryStore, type Store } from '@postern/core'
import type { Strategy } from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import {
  createGateway,
  type FakeGateway,
  type Fault,
  type MemoryHost,
  memoryNetwork,
  type VirtualClock,
  virtualClock
} from '@postern/testkit'
import { upnp } from '@postern/upnp'
import { describe, expect, it } from 'vitest'

type Name = 'pcp' | 'nat-pmp' | 'upnp'
const names: readonly Name[] = ['pcp', 'nat-pmp', 'upnp']
const services = { pcp: 'pcp', 'nat-pmp': 'nat-pmp', upnp: ['description', 'control'] } as const

const make = (name: Name, { openUdp, exchangeHttp }: MemoryHost): Strategy =>
  name === 'pcp' ? pcp({ openUdp }) : name === 'nat-pmp' ? natPmp({ openUdp }) : upnp({ openUdp, exchangeHttp })

interface Options {
  readonly via: readonly Name[]
  readonly faults: readonly Fault[]
  readonly store?: Store
  /** What runs before, on the same router. */
  readonly after?: Pick<Home, 'clock' | 'gateway' | 'link'>
}

interface Home {
  readonly clock: VirtualClock
  readonly gateway: FakeGateway
  readonly link: ReturnType<typeof memoryNetwork>
  /** Events such as `250 mapped upnp`, in order. */
  readonly told: () => readonly string[]
  readonly strategies: () => readonly { readonly name: string; readonly waitingFor?: string }[]
  readonly verdict: () => string
  readonly firstPassMs: () => number | undefined
  /** Stops while virtual time passes. Resolves with how long that took, in ms. */
  readonly stop: () => Promise<number>
  readonly end: () => void
}

/** A server behind a router that speaks all three protocols, each as slow as the faults say. */
async function open({ via, faults, store, after }: Options): Promise<Home> {
  const clock = after?.clock ?? virtualClock()
  const link = after?.link ?? memoryNetwork({ clock, delayMs: 1 })
  const gateway =
    after?.gateway ?? createGateway({ clock, externalAddress: '11.0.0.2', epochSeconds: 10_000, upnp: { version: 1 } })
  if (after === undefined) link.attach(gateway, '192.168.1.1')
  for (const fault of faults) gateway.inject(fault)
  const log = { debug: () => undefined, info: () => undefined }
  const traversal = createTraversal({
    strategies: via.map((name) => make(name, link.host('192.168.1.2'))),
    host: { clock, random: () => 0.5, log },
    ...(store === undefined ? {} : { store })
  })
  const events: (MappingEvent & { readonly atMs: number })[] = []
  const beganMs = clock.monotonicMs()
  for (const name of ['mapped', 'lost', 'failed', 'released', 'changed'] as const)
    traversal.addEventListener(name, ({ detail }) => events.push({ ...detail, atMs: clock.monotonicMs() - beganMs }))
  traversal.setNetwork({
    gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }],
    addresses: ['192.168.1.2']
  })
  const unwanted = new AbortController()
  traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 }, unwanted)
  let firstPassMs: number | undefined
  void traversal.start().then(async () => {
    await traversal.settled()
    firstPassMs = clock.monotonicMs() - beganMs
  })
  await clock.advance(0)
  return {
    clock,
    gateway,
    link,
    told: () => events.map(({ event, strategy }) => `${event} ${strategy}`),
    strategies: () => traversal.report().strategies,
    verdict: () => traversal.report().verdict,
    firstPassMs: () => firstPassMs,
    end: () => unwanted.abort(),
    async stop() {
      const before = clock.monotonicMs()
      let isOver = false
      const stopped = traversal.stop().then(() => {
        isOver = true
      })
      while (!isOver && clock.monotonicMs() - before < 60_000) await clock.advance(10)
      await stopped
      return clock.monotonicMs() - before
    }
  }
}

/** Checks that nothing is forwarded, that nothing runs, and that the protocols were kept. */
async function expectClean({ gateway, link, clock }: Home): Promise<void> {
  expect(link.openSockets).toBe(0)
  // The last answers of the router are still on their way.
  await clock.advance(12_000)
  expect(gateway.mappings).toEqual([])
  expect(gateway.violations).toEqual([])
  expect(clock.pending).toBe(0)
}

describe.each(names)('%s at a router with every answer', (name) => {
  it.each([0, 1500, 5000, 9500])('%i ms late maps a port, and releases it at the end', async (ms) => {
    const home = await open({ via: [name], faults: [{ kind: 'late', ms, on: services[name] }] })
    await home.clock.advance(5 * (ms + 1000))
    expect(home.told().filter((line) => line.startsWith('mapped'))).toEqual([`mapped ${name}`])
    expect(home.gateway.mappings).toHaveLength(1)
    const tookMs = await home.stop()
    expect(tookMs).toBeLessThan(ms === 0 ? 100 : 10_100)
    if (ms < 5000) expect(home.told().at(-1)).toBe(`released ${name}`)
    await expectClean(home)
  })

  it.each([0, 1500, 5000])('%i ms late leaves nothing forwarded when it is stopped at any moment', async (ms) => {
    for (let atMs = 0; atMs <= 4 * ms + 100; atMs += ms === 0 ? 5 : 400) {
      const home = await open({ via: [name], faults: [{ kind: 'late', ms, on: services[name] }] })
      await home.clock.advance(atMs)
      await home.stop()
      await expectClean(home)
    }
  })
})

it.each([
  ['every action 1 s late', { kind: 'late', ms: 1000, on: 'control' }, 'upnp', 5000],
  ['AddPortMapping 4 s late', { kind: 'late', ms: 4000, on: 'control', action: 'AddPortMapping' }, 'upnp', 5000],
  ['NAT-PMP 1.5 s late', { kind: 'late', ms: 1500, on: 'nat-pmp' }, 'nat-pmp', 8000],
  ['PCP 3 s late', { kind: 'late', ms: 3000, on: 'pcp' }, 'pcp', 8000],
  ['the description 5 s late', { kind: 'late', ms: 5000, on: 'description' }, 'upnp', 6000]
] as const)('a router with %s is mapped', async (_title, fault, name, withinMs) => {
  const home = await open({ via: [name], faults: [fault] })
  await home.clock.advance(withinMs)
  expect(home.told()).toContain(`mapped ${name}`)
  await home.stop()
  await expectClean(home)
})

describe('a strategy that is late', () => {
  it('a late strategy delays the next one by no more than 2 s, and its late grant takes nothing away', async () => {
    const home = await open({ via: ['pcp', 'upnp'], faults: [] })
    // It was found, and takes long to map.
    home.gateway.inject({ kind: 'late', ms: 6000, on: 'pcp', after: 1 })
    await home.clock.advance(3000)
    expect(home.told()).toEqual(['mapped upnp'])
    await home.clock.advance(60_000)
    expect(home.told()).toEqual(['mapped upnp'])
    expect(home.gateway.mappings.filter(({ internalPort }) => internalPort === 8080)).not.toEqual([])
    await home.stop()
    await expectClean(home)
  })

  it('a late strategy is waited for if it is the only one, and not reported as failed before', async () => {
    const home = await open({
      via: ['upnp'],
      faults: [{ kind: 'late', ms: 8000, on: 'control', action: 'AddPortMapping' }]
    })
    await home.clock.advance(5000)
    expect(home.firstPassMs()).toBeLessThan(5000)
    expect(home.told()).toEqual([])
    expect(home.verdict()).toBe('unknown')
    expect(home.strategies()).toMatchObject([{ name: 'upnp', waitingFor: 'grant' }])
    await home.clock.advance(4000)
    expect(home.told()).toEqual(['mapped upnp'])
    expect(home.verdict()).toBe('public')
    expect(home.strategies()[0]).not.toHaveProperty('waitingFor')
    await home.stop()
    await expectClean(home)
  })

  it('a late strategy that turns out to be silent does not affect the next one', async () => {
    const home = await open({ via: ['pcp', 'nat-pmp'], faults: [] })
    home.gateway.inject({ kind: 'silent', on: 'pcp', after: 1 })
    await home.clock.advance(3000)
    expect(home.told()).toEqual(['mapped nat-pmp'])
    await home.clock.advance(120_000)
    expect(home.told()).toEqual(['mapped nat-pmp'])
    expect(home.gateway.mappings).toHaveLength(1)
    await home.stop()
    await expectClean(home)
  })
})

describe('what failed is undone', () => {
  it.each(names)('%s undoes a request with lost answers once the router answers again', async (name) => {
    const home = await open({ via: [name], faults: [] })
    const control = name === 'upnp' ? 'control' : services[name]
    // The answer to the mapping request is lost, and so are all answers of the first half minute.
    const heal = home.gateway.inject({ kind: 'silent', carriedOut: true, on: control, after: name === 'upnp' ? 2 : 1 })
    await home.clock.advance(3000)
    expect(home.gateway.mappings).toHaveLength(1)
    home.end()
    await home.clock.advance(1000)
    heal()
    await home.clock.advance(30_000)
    expect(home.gateway.mappings).toEqual([])
    await home.stop()
    await expectClean(home)
  })

  it.each(names)('%s undoes in the next run what the router did not answer until the end of this one', async (name) => {
    const store = memoryStore()
    const first = await open({ via: [name], faults: [], store })
    const control = name === 'upnp' ? 'control' : services[name]
    first.gateway.inject({ kind: 'silent', carriedOut: true, on: control, after: name === 'upnp' ? 2 : 1 })
    await first.clock.advance(4000)
    expect(first.gateway.mappings).toHaveLength(1)
    first.gateway.clearFaults()
    first.gateway.inject({ kind: 'silent', on: control })
    await first.stop()
    expect(first.gateway.mappings).toHaveLength(1)
    first.gateway.clearFaults()

    const second = await open({ via: [name], faults: [], store, after: first })
    second.end()
    await second.clock.advance(60_000)
    expect(second.gateway.mappings).toEqual([])
    await second.stop()
    await expectClean(second)
  })
})
