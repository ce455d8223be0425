import { createTraversal, type MappingEventName, type Report } from '@postern/core'
import type { Network } from '@postern/interface'
import { createGateway, type Fault, type GatewayOptions, memoryNetwork, virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type Subject, subjects } from './subjects.js'

const second = 1000
const hour = 3600 * second
const router = { 4: '192.168.1.1', 6: '2a00:1::1' }
/** Cable and Wi-Fi in one network. The default route leaves through the cable. */
const cable = { 4: '192.168.1.2', 6: '2a00:1::2' }
const wifi = { 4: '192.168.1.3', 6: '2a00:1::3' }
const nothing: Network = { gateways: [], addresses: [] }

const networkPrefixOf = (first: typeof cable, ...more: readonly (typeof cable)[]): Network => ({
  gateways: ([4, 6] as const).map((family) => ({
    address: router[family],
    interface: 'eth0',
    localAddress: first[family]
  })),
  addresses: [first, ...more].flatMap((each) => Object.values(each))
})

interface Setting {
  readonly gateway?: GatewayOptions
  readonly faults?: readonly Fault[]
  /** The address of the endpoint. @default every address */
  readonly address?: typeof cable
  readonly network?: Network
}

/** A home with one strategy that wants port 8080. */
async function home({ family, protocol, make }: Subject, setting: Setting = {}) {
  const { gateway: options = {}, faults = [], address, network = networkPrefixOf(cable, wifi) } = setting
  const clock = virtualClock()
  const link = memoryNetwork({ clock, delayMs: 1 })
  const base = { clock, random: () => 0.5, externalAddress: '11.0.0.2', epochSeconds: 10_000, protocols: [protocol] }
  const gateway = createGateway({ ...base, ...options })
  for (const each of Object.values(router)) link.attach(gateway, each)
  for (const fault of faults) gateway.inject(fault)
  const traversal = createTraversal({
    strategies: [make(link.host(...Object.values(cable), ...Object.values(wifi)))],
    host: { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } }
  })
  const told: MappingEventName[] = []
  for (const name of ['mapped', 'renewed', 'changed', 'lost', 'failed', 'released'] as const)
    traversal.addEventListener(name, () => told.push(name))
  traversal.setNetwork(network)
  const wildcard = { 4: '0.0.0.0', 6: '::' }
  traversal.addEndpoint({ protocol: 'tcp', family, address: (address ?? wildcard)[family], port: 8080 })
  await traversal.start()
  await clock.advance(20 * second)
  return {
    clock,
    gateway,
    traversal,
    told,
    report: (): Report => traversal.report(),
    mapped: () => traversal.report().candidates.filter(({ type }) => type === 'mapped'),
    /** Returns where the router forwards a connection to port 8080 of the external address. */
    leadsTo: (own: typeof cable = cable): string | undefined =>
      gateway.deliver('tcp', { 4: gateway.externalAddress, 6: own[6] }[family], 8080)?.address,
    async end(): Promise<void> {
      const stopped = traversal.stop()
      await clock.advance(15 * second)
      await stopped
      expect(gateway.violations).toEqual([])
      expect(link.openSockets).toBe(0)
      expect(clock.pending).toBe(0)
    }
  }
}

describe.each(subjects)('by $title', (subject) => {
  const { family, protocol } = subject

  it('the requests of an endpoint leave from its own address, and map to it', async () => {
    const each = await home(subject, { address: wifi })
    expect(each.leadsTo(wifi)).toBe(wifi[family])
    expect(each.gateway.mappings.map(({ internalAddress }) => internalAddress)).toEqual([wifi[family]])
    await each.clock.advance(3 * hour)
    expect(each.leadsTo(wifi)).toBe(wifi[family])
    await each.end()
    expect(each.gateway.mappings).toEqual([])
  })

  it('a cable that goes out and in again is mapped again', async () => {
    const each = await home(subject)
    each.traversal.setNetwork(nothing)
    await each.clock.advance(10 * second)
    expect(each.report().externalAddresses).toEqual([])
    each.traversal.setNetwork(networkPrefixOf(cable, wifi))
    await each.clock.advance(30 * second)
    expect(each.leadsTo()).toBe(cable[family])
    expect(each.mapped()).toHaveLength(1)
    await each.end()
    expect(each.gateway.mappings).toEqual([])
  })

  it.each([0, 90, 200, 900])(
    'a cable that is out for %i ms does not cause requests to a router that has not answered yet',
    async (outMs) => {
      const each = await home(subject)
      each.gateway.inject({ kind: 'late', ms: 5000 })
      for (const afterMs of [0, 10, 120, 400, 1300, 2600, 7000]) {
        each.traversal.recheck()
        await each.clock.advance(afterMs)
        each.traversal.setNetwork(nothing)
        await each.clock.advance(outMs)
        each.traversal.setNetwork(networkPrefixOf(cable, wifi))
        await each.clock.advance(afterMs)
      }
      each.gateway.clearFaults()
      await each.clock.advance(120 * second)
      expect(each.leadsTo()).toBe(cable[family])
      // At the end, look for requests that crossed.
      await each.end()
      expect(each.gateway.mappings).toEqual([])
    }
  )

  it('a host that moves from the cable to Wi-Fi is mapped at its new address', async () => {
    const each = await home(subject)
    each.traversal.setNetwork(networkPrefixOf(wifi))
    await each.clock.advance(60 * second)
    const found = each.gateway.mappings.filter(({ internalAddress }) => internalAddress === wifi[family])
    expect(found).toHaveLength(1)
    expect(each.mapped()).toHaveLength(1)
    await each.end()
    expect(each.gateway.mappings.filter(({ internalAddress }) => internalAddress === wifi[family])).toEqual([])
  })

  it('mappings lost in a restart without an epoch change are back within 7 s of its announcement', async () => {
    const each = await home(subject)
    await each.clock.advance(60 * second)
    each.gateway.reboot({ keepEpoch: true })
    expect(each.leadsTo()).toBeUndefined()
    each.gateway.announce()
    await each.clock.advance(7 * second)
    expect(each.leadsTo()).toBe(cable[family])
    await each.end()
  })

  it('a router that refuses is reported as refusing, with a reason', async () => {
    const refusal: Fault =
      protocol === 'upnp'
        ? { kind: 'soap-fault', code: 606, action: family === 4 ? 'AddPortMapping' : 'AddPinhole' }
        : { kind: 'result', code: 2, ...(protocol === 'pcp' ? { opcode: 1 } : {}) }
    const more: readonly Fault[] =
      protocol === 'upnp' ? [{ kind: 'soap-fault', code: 606, action: 'AddAnyPortMapping' }] : []
    const each = await home(subject, { faults: [refusal, ...more] })
    expect(each.told).not.toContain('mapped')
    expect(each.report().verdict).toBe('private')
    expect(each.report().strategies[0]?.reason?.code).toBe('NOT_AUTHORIZED')
    expect(each.report().advice.join(' ')).toMatch(/Allow|permits/)
    await each.end()
    expect(each.gateway.mappings).toEqual([])
  })
})

/** Every code with which a router of the protocol can refuse, and one that no standard knows. */
const refusals: Readonly<Record<Subject['protocol'], readonly number[]>> = {
  pcp: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99],
  'nat-pmp': [2, 3, 4, 5, 77],
  upnp: [401, 402, 501, 602, 604, 605, 606, 701, 702, 703, 705, 716, 718, 724, 725, 726, 727, 728, 729, 732, 733, 899]
}

function refuse({ protocol, family }: Subject, code: number, verb: 'make' | 'delete'): readonly Fault[] {
  if (protocol === 'pcp') return [{ kind: 'result', code, opcode: 1 }]
  if (protocol === 'nat-pmp') return [{ kind: 'result', code, opcode: 2 }]
  const making = family === 4 ? ['AddPortMapping', 'AddAnyPortMapping'] : ['AddPinhole', 'UpdatePinhole']
  const actions = verb === 'make' ? making : [family === 4 ? 'DeletePortMapping' : 'DeletePinhole']
  return actions.map((action): Fault => ({ kind: 'soap-fault', code, action }))
}

const numbered = subjects.flatMap((subject) =>
  refusals[subject.protocol].map((code) => [subject.title, code, subject] as const)
)

describe('a router that answers', () => {
  it.each(numbered)(
    '%s with %i is told with a reason, and asked again until it maps',
    async (_title, code, subject) => {
      const each = await home(subject, { faults: refuse(subject, code, 'make') })
      expect(each.told).not.toContain('mapped')
      const { verdict, strategies, advice } = each.report()
      expect(verdict).toBe('private')
      expect(advice.length).toBeGreaterThan(0)
      expect(strategies[0]?.reason?.code).toMatch(/^[A-Z_]+$/)
      each.gateway.clearFaults()
      // RFC 6887 §7.4: 30 minutes after a long-lasting error.
      await each.clock.advance(36 * 60 * second)
      expect(each.leadsTo()).toBe(cable[subject.family])
      await each.end()
      expect(each.gateway.mappings).toEqual([])
    }
  )

  it.each(numbered)(
    'a renewal of %s with %i keeps what it granted as long as it said',
    async (_title, code, subject) => {
      const each = await home(subject)
      const faults = refuse(subject, code, 'make')
      for (const fault of faults) each.gateway.inject(fault)
      await each.clock.advance(110 * 60 * second)
      expect(each.told).not.toContain('lost')
      expect(each.mapped()).toHaveLength(1)
      await each.clock.advance(20 * 60 * second)
      // An expired mapping is no longer reported.
      expect(each.leadsTo() === undefined && each.mapped().length > 0).toBe(false)
      each.gateway.clearFaults()
      await each.clock.advance(36 * 60 * second)
      expect(each.leadsTo()).toBe(cable[subject.family])
      await each.end()
      expect(each.gateway.mappings).toEqual([])
    }
  )

  // miniupnpd answers 8 for a mapping that is gone, although no deletion can mean that.
  const deletions = numbered.filter(([, code, { protocol }]) => protocol !== 'pcp' || code !== 8)
  it.each(deletions)(
    'a deletion of %s that is refused with %i is not reported as done, and ends',
    async (_title, code, subject) => {
      const each = await home(subject)
      for (const fault of refuse(subject, code, 'delete')) each.gateway.inject(fault)
      await each.end()
      const isLeft = each.gateway.mappings.length > 0
      expect([isLeft, each.told.at(-1)]).toEqual([isLeft, isLeft ? 'failed' : 'released'])
    }
  )
})

describe.each(subjects.filter(({ family }) => family === 4))('by $title', (subject) => {
  it.each(['127.0.0.1', '169.254.1.1', '224.0.0.1', '255.255.255.255', '0.0.0.0'])(
    'an external address of %s is never reported',
    async (externalAddress) => {
      const each = await home(subject, { gateway: { externalAddress } })
      expect(each.told).not.toContain('mapped')
      expect(each.report().externalAddresses).toEqual([])
      expect(each.report().verdict).toBe('private')
      await each.end()
      expect(each.gateway.mappings).toEqual([])
    }
  )

  it.each([
    ['10.0.0.2', 'double-nat'],
    ['172.16.3.4', 'double-nat'],
    ['192.168.100.2', 'double-nat'],
    ['100.64.0.2', 'carrier-nat'],
    ['192.0.2.1', 'reserved-external-address'],
    ['198.18.0.9', 'reserved-external-address']
  ])('an external address of %s is mapped and claimed: %s', async (externalAddress, cause) => {
    const each = await home(subject, { gateway: { externalAddress } })
    expect(each.told).toContain('mapped')
    expect(each.report()).toMatchObject({ verdict: 'private', cause, candidates: [{ state: 'claimed' }] })
    await each.end()
    expect(each.gateway.mappings).toEqual([])
  })

  it('the port of another host is not taken from it', async () => {
    const taken = { externalPort: 8080, internalAddress: '192.168.1.50', internalPort: 8080 }
    const each = await home(subject, { gateway: { occupied: [taken] } })
    expect(each.leadsTo()).toBe('192.168.1.50')
    expect(each.told).toContain('mapped')
    await each.end()
    expect(each.gateway.mappings.map(({ internalAddress }) => internalAddress)).toEqual(['192.168.1.50'])
  })
})
