import type { MappingOddity, MappingsReport } from '@postern/core'
import type { ListedMapping, Mapper, MapRequest, Network, Strategy } from '@postern/interface'
import { natPmp } from '@postern/nat-pmp'
import { pcp } from '@postern/pcp'
import {
  createGateway,
  type Fault,
  type GatewayOptions,
  memoryNetwork,
  type VirtualClock,
  virtualClock
} from '@postern/testkit'
import { upnp } from '@postern/upnp'
import { afterEach, describe, expect, it } from 'vitest'
import { examineMappings } from '../../../../src/commands/doctor/neighbourhood/mappings.js'
import { watchMappers } from '../../../../src/commands/doctor/neighbourhood/watch-mappers.js'

const ours = '192.168.1.2'
const network: Network = {
  gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: ours }],
  addresses: [ours]
}
const request: MapRequest = {
  endpoint: { protocol: 'tcp', family: 4, address: ours, port: 8080 },
  suggestedExternalPort: 8080,
  lifetimeMs: 7_200_000,
  key: new Uint8Array(16)
}
const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

interface Scene {
  readonly gateway?: Omit<GatewayOptions, 'clock' | 'random'>
  readonly faults?: readonly Fault[]
  readonly strategy?: 'upnp' | 'pcp' | 'nat-pmp'
  /** How many requests follow the first one, 5 s apart. */
  readonly renewals?: number
  readonly endpointPort?: number
  readonly programAt?: (protocol: string, port: number) => Promise<string | null>
}

/** Advances the clock until a promise is settled. */
async function within<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  const state = { isOver: false }
  const settled = work.finally(() => (state.isOver = true))
  settled.catch(() => undefined)
  while (!state.isOver) await clock.advance(50)
  return settled
}

/** Asks a router for a mapping, and examines what it answered and lists. */
async function examined(
  scene: Scene
): Promise<{ report: MappingsReport | null; changes: number; queries: number; tookMs: number }> {
  const { strategy = 'upnp', renewals = 0, endpointPort = 8080, programAt = async () => null } = scene
  const clock = virtualClock()
  const link = memoryNetwork({ clock })
  const gateway = createGateway({ clock, externalAddress: '11.0.0.2', protocols: [strategy], ...scene.gateway })
  for (const fault of scene.faults ?? []) gateway.inject(fault)
  link.attach(gateway, '192.168.1.1', { httpPort: 49_000 })
  const host = link.host(ours)
  const made: Readonly<Record<'upnp' | 'pcp' | 'nat-pmp', () => Strategy>> = {
    upnp: () => upnp({ ...host }),
    pcp: () => pcp({ openUdp: host.openUdp }),
    'nat-pmp': () => natPmp({ openUdp: host.openUdp })
  }
  const { strategies, seen } = watchMappers([made[strategy]()])
  const [watched] = strategies
  const end = new AbortController()
  const mappers: Mapper[] = []
  const log = { debug: () => undefined, info: () => undefined }
  const running = watched?.({ clock, random: () => 0.5, log }).discover(
    network,
    (each) => {
      if (each.kind === 'mapper') mappers.push(each)
    },
    end
  )
  stops.push(async () => {
    end.abort()
    await clock.advance(0)
    await running
  })
  await clock.advance(3000)
  const [mapper] = mappers
  const call = { signal: new AbortController().signal }
  const wish = { ...request, endpoint: { ...request.endpoint, port: endpointPort } }
  if (mapper !== undefined) {
    let lease = await within(clock, mapper.map(wish, call)).catch(() => undefined)
    for (let time = 0; time < renewals; time += 1) {
      await clock.advance(5000)
      lease = lease && (await within(clock, lease.renew(call)).catch(() => undefined))
    }
  }
  const { operations: before } = structuredClone(gateway.counters.control)
  const beganMs = clock.monotonicMs()
  const report = await within(clock, examineMappings({ clock, seen, network, programAt }, call))
  const { operations } = gateway.counters.control
  const asked = Object.keys(operations).filter((action) => operations[action] !== before[action])
  return {
    report,
    changes: asked.filter((action) => !action.startsWith('Get')).length,
    queries:
      Object.values(operations).reduce((sum, count) => sum + count, 0) -
      Object.values(before).reduce((sum, count) => sum + count, 0),
    tookMs: clock.monotonicMs() - beganMs
  }
}

const taken = { externalPort: 8080, internalAddress: '192.168.1.55', internalPort: 80 }

describe('examineMappings', () => {
  it('an ordinary router has no oddity, and no other host holds the port', async () => {
    const { report, changes } = await examined({})
    expect(report).toEqual({ oddities: [], listed: 1, heldByOthers: [] })
    expect(changes).toBe(0)
  })

  it('a mapping of another host that holds the port is named', async () => {
    const { report, changes } = await examined({ gateway: { occupied: [taken] } })
    expect(report).toMatchObject({
      oddities: [],
      heldByOthers: [
        {
          protocol: 'tcp',
          externalPort: 8080,
          internal: { address: '192.168.1.55', port: 80 },
          lifetimeSeconds: null,
          program: null
        }
      ]
    })
    expect(changes).toBe(0)
  })

  it('a mapping of another program of this host is named with that program', async () => {
    const { report } = await examined({
      gateway: { occupied: [{ ...taken, internalAddress: ours, internalPort: 9090 }] },
      programAt: async (protocol, port) => `${protocol} ${port} of nginx`
    })
    expect(report?.heldByOthers).toMatchObject([
      { internal: { address: ours, port: 9090 }, program: 'tcp 9090 of nginx' }
    ])
  })

  it('a mapping of another host at a port that was not asked for is not named', async () => {
    const { report } = await examined({ gateway: { occupied: [{ ...taken, externalPort: 8081 }] } })
    expect(report?.heldByOthers).toEqual([])
  })

  it.each<readonly [MappingOddity, string, Scene]>([
    ['permanent-only', 'refuses mappings that end', { faults: [{ kind: 'only-permanent' }] }],
    ['permanent-only', 'drops mappings that end', { faults: [{ kind: 'drops-leases' }] }],
    [
      'table-full',
      'has a full table (UPnP 728)',
      { gateway: { maxMappings: 1, occupied: [{ ...taken, externalPort: 80 }] } }
    ],
    ['table-full', 'has a full table (PCP NO_RESOURCES)', { strategy: 'pcp', gateway: { maxMappings: 0 } }],
    ['table-full', 'has a full table (NAT-PMP 4)', { strategy: 'nat-pmp', gateway: { maxMappings: 0 } }],
    ['grant-invalid', 'does not list what it granted', { faults: [{ kind: 'unlisted' }] }],
    ['lifetime-zero', 'lists 0 s for a mapping that ends', { faults: [{ kind: 'shown-lease', seconds: 0 }] }],
    ['lifetime-longer', 'lists more time than was asked for', { faults: [{ kind: 'shown-lease', seconds: 86_400 }] }],
    [
      'clock',
      'has a clock that runs backwards',
      { strategy: 'pcp', gateway: { epochSeconds: 1000, epochRate: -1 }, renewals: 3 }
    ],
    ['clock', 'has a clock that runs too fast', { strategy: 'pcp', gateway: { epochRate: 5 }, renewals: 3 }]
  ])('%s: a router that %s', async (oddity, _, scene) => {
    expect((await examined(scene)).report?.oddities).toEqual([oddity])
  })

  it('a clock that runs as it should is not odd', async () => {
    expect((await examined({ strategy: 'pcp', renewals: 3 })).report?.oddities).toEqual([])
  })

  it('nothing is said of mappings if no router was asked for one', async () => {
    expect((await examined({ gateway: { protocols: [] } })).report).toBeNull()
  })

  it('a router with a long list is asked for at most 32 mappings', async () => {
    const occupied = Array.from({ length: 60 }, (_, index) => ({ ...taken, externalPort: 20_000 + index }))
    const { queries } = await examined({ gateway: { occupied } })
    expect(queries).toBeLessThanOrEqual(33)
  })

  it('a router that is slow to list is asked for 2 s at most, and what it listed counts', async () => {
    const occupied = Array.from({ length: 30 }, (_, index) => ({ ...taken, externalPort: 8080 + index }))
    const { report, tookMs } = await examined({
      gateway: { occupied },
      faults: [{ kind: 'late', ms: 700, on: 'control' }]
    })
    expect(tookMs).toBeLessThanOrEqual(2100)
    expect(report?.heldByOthers).toHaveLength(1)
  })

  describe('with a list of any kind', () => {
    const lease = {
      addresses: ['/ip4/11.0.0.2/tcp/8080'] as const,
      lifetimeMs: 7_200_000,
      renew: () => Promise.reject(new Error('not renewed here')),
      release: () => Promise.resolve()
    }
    const entry: ListedMapping = {
      protocol: 'tcp',
      externalPort: 8080,
      internalAddress: 'laptop',
      internalPort: 8080,
      description: null,
      remainingMs: 7_200_000
    }
    const examineWith = (
      list: NonNullable<Mapper['list']>,
      signal: AbortSignal = new AbortController().signal
    ): Promise<MappingsReport | null> => {
      const mapper: Mapper = {
        kind: 'mapper',
        gateway: null,
        family: 4,
        protocols: ['tcp'],
        map: async () => lease,
        list
      }
      const seen = {
        answers: [{ strategy: 'upnp', request, lease, refusal: undefined }],
        listers: new Map([['upnp', mapper]]),
        jumps: new Map<string, number>()
      }
      return examineMappings({ clock: virtualClock(), seen, network, programAt: async () => null }, { signal })
    }

    it('a granted mapping is not that of another host if the router lists it with a name', async () => {
      const report = await examineWith(async (_, each) => {
        each(entry)
        return true
      })
      expect(report).toMatchObject({ listed: 1, heldByOthers: [] })
    })

    it('a list that fails leaves what it told, and its length is not known', async () => {
      const report = await examineWith(async (_, each) => {
        each(entry)
        throw new Error('broken')
      })
      expect(report).toEqual({ oddities: [], listed: null, heldByOthers: [] })
    })

    it('an interruption ends the reading of a list that never ends', async () => {
      const interrupt = new AbortController()
      const work = examineWith(() => new Promise(() => undefined), interrupt.signal)
      interrupt.abort()
      expect(await work).toMatchObject({ listed: null })
    })
  })
})
