import {
  type Endpoint,
  type Finding,
  formatMultiaddr,
  type Gateway,
  type Lease,
  type Mapper,
  type MapRequest,
  type Network,
  natError,
  type Relay,
  type RemoteParty,
  type Strategy,
  type Witness
} from '@postern/interface'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import {
  type Attributes,
  type CheckExternalAddress,
  createTraversal,
  type Instrument,
  type InstrumentName,
  instruments,
  type MappingEvent,
  type MappingEventName,
  type MetricsSink,
  type PolicyOptions,
  type Reading,
  type Store,
  type Traversal
} from '../src/index.js'

export const router: Gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }
export const home: Network = { gateways: [router], addresses: ['192.168.1.2'] }
export const web: Endpoint = { protocol: 'tcp', family: 4, address: '0.0.0.0', port: 8080 }

const eventNames: readonly MappingEventName[] = [
  'mapped',
  'renewed',
  'changed',
  'lost',
  'verified',
  'refuted',
  'failed',
  'released'
]

/** One traversal on a virtual clock, and a record of its events. */
export interface Stage {
  readonly clock: VirtualClock
  readonly traversal: Traversal
  readonly events: readonly MappingEvent[]
  /** `mapped pcp 11.0.0.2:8080`, in order. */
  readonly told: () => readonly string[]
  readonly trace: string[]
}

export interface StageOptions {
  readonly clock?: VirtualClock
  readonly policy?: PolicyOptions
  readonly store?: Store
  readonly random?: () => number
  readonly network?: Network
  readonly checkExternalAddress?: CheckExternalAddress
}

/** Creates a traversal with these strategies on a known network. It is not started. */
export function stage(
  strategies: (trace: string[], clock: VirtualClock) => readonly Strategy[],
  options: StageOptions = {}
): Stage {
  const { clock = virtualClock(), policy = {}, random = () => 0.5, network = home } = options
  const trace: string[] = []
  const traversal = createTraversal({
    strategies: strategies(trace, clock),
    host: { clock, random, log: { debug: () => undefined, info: () => undefined } },
    policy,
    ...(options.checkExternalAddress === undefined ? {} : { checkExternalAddress: options.checkExternalAddress }),
    ...(options.store === undefined ? {} : { store: options.store })
  })
  const events: MappingEvent[] = []
  for (const name of eventNames) traversal.addEventListener(name, ({ detail }) => events.push(detail))
  traversal.setNetwork(network)
  const told = (): readonly string[] =>
    events.map(({ event, strategy, external }) => `${event} ${strategy} ${external?.address}:${external?.port}`)
  return { clock, traversal, events, told, trace }
}

/** Starts the traversal and completes the first pass. */
export async function begin({ traversal, clock }: Stage, ms = 1500): Promise<void> {
  await traversal.start()
  await clock.advance(ms)
}

/** Stops while virtual time passes. */
export async function end({ traversal, clock }: Stage): Promise<void> {
  const stopped = traversal.stop()
  let over = false
  void stopped.then(() => {
    over = true
  })
  for (let passed = 0; !over && passed < 60_000; passed += 100) await clock.advance(passed === 0 ? 0 : 100)
  await stopped
}

export interface ScriptedOptions {
  readonly gateway?: Gateway | null
  readonly isClaim?: boolean
  readonly family?: 4 | 6
  readonly foundAfterMs?: number
  readonly takesMs?: number
  readonly lifetimeMs?: number
  readonly externalAddress?: string
  /** Returns the port that the router grants, or throws; by default it grants the suggested one. */
  readonly grant?: (request: MapRequest, count: number) => number
  readonly renew?: (count: number) => void
  /** Changes a lease, and each of its successors. */
  readonly shape?: (lease: Lease) => Lease
}

export interface Scripted {
  readonly strategy: Strategy
  /** Sends a finding as the strategy. */
  say(finding: (mapper: Mapper) => Finding): void
  readonly requests: readonly MapRequest[]
  /** External ports that are mapped now. */
  readonly mapped: ReadonlySet<number>
  externalAddress: string
}

/** Creates a mapper that behaves as its options say, and records each request: `map pcp 8080`. */
export function scripted(name: string, trace: string[], clock: VirtualClock, options: ScriptedOptions = {}): Scripted {
  const { gateway = router, family = 4, foundAfterMs = 0, takesMs = 1, lifetimeMs, grant, renew } = options
  const requests: MapRequest[] = []
  const mapped = new Set<number>()
  let tell: ((finding: Finding) => void) | undefined
  let maps = 0
  let renewals = 0

  const { shape = (lease) => lease } = options
  const leaseOf = (request: MapRequest, port: number): Lease => shape(plainLease(request, port))
  const plainLease = (request: MapRequest, port: number): Lease => ({
    addresses: [formatMultiaddr(result.externalAddress, request.endpoint.protocol, port)],
    lifetimeMs: lifetimeMs ?? request.lifetimeMs,
    async renew(call) {
      trace.push(`renew ${name} ${port}`)
      await clock.sleep(takesMs, call)
      renew?.(++renewals)
      mapped.add(port)
      return leaseOf(request, port)
    },
    async release(call) {
      trace.push(`release ${name} ${port}`)
      await clock.sleep(takesMs, call)
      mapped.delete(port)
    }
  })
  const mapper: Mapper = {
    kind: 'mapper',
    gateway,
    ...(options.isClaim === undefined ? {} : { isClaim: options.isClaim }),
    family,
    protocols: ['tcp', 'udp'],
    async map(request, call) {
      trace.push(`map ${name} ${request.suggestedExternalPort}`)
      requests.push(request)
      await clock.sleep(takesMs, call)
      const port = grant === undefined ? request.suggestedExternalPort : grant(request, ++maps)
      mapped.add(port)
      return leaseOf(request, port)
    }
  }
  const result: Scripted = {
    externalAddress: options.externalAddress ?? '11.0.0.2',
    requests,
    mapped,
    say: (finding) => tell?.(finding(mapper)),
    strategy: () => ({
      name,
      kind: 'mapper',
      async discover(_network, found, call) {
        tell = found
        await clock.sleep(foundAfterMs, call)
        found(mapper)
        await clock.sleep(1e12, call).catch(() => undefined)
      }
    })
  }
  return result
}

/** Creates a strategy that finds nothing, and reports that after a while. */
export const absent =
  (name: string, clock: VirtualClock, code: Parameters<typeof natError>[0] = 'NO_REPLY', afterMs = 10): Strategy =>
  () => ({
    name,
    kind: 'mapper',
    async discover(_network, found, call) {
      await clock.sleep(afterMs, call)
      found({ kind: 'notice', what: 'absent', gateway: router, reason: natError(code, `${name} says ${code}`) })
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })

export const party = (id: string, network: string): RemoteParty => ({ id, network })

/** Creates witnesses that give these answers. The name of one that dials a single family ends with it: `a6`. */
export const witnesses =
  (
    answers: Readonly<Record<string, 'reachable' | 'unreachable' | 'inconclusive' | 'silent'>>,
    clock: VirtualClock,
    asked: string[] = []
  ): Strategy =>
  () => ({
    name: 'autonat',
    kind: 'witness',
    async discover(_network, found, call) {
      for (const [index, id] of Object.keys(answers).entries()) {
        const witness: Witness = {
          kind: 'witness',
          party: party(id, `${20 + index}.0.0.0/16`),
          ...(id.endsWith('4') ? { family: 4 } : id.endsWith('6') ? { family: 6 } : {}),
          async verify(address, each) {
            asked.push(`${id} ${address}`)
            await clock.sleep(5, each)
            const outcome = answers[id] ?? 'inconclusive'
            if (outcome === 'silent') await clock.sleep(1e9, each)
            return { outcome: outcome === 'silent' ? 'inconclusive' : outcome }
          }
        }
        found(witness)
      }
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })

/** Creates relays that reserve, or refuse. */
export const relays =
  (
    ids: readonly string[],
    clock: VirtualClock,
    trace: string[],
    refuses: (id: string) => boolean = () => false
  ): Strategy =>
  () => ({
    name: 'relay',
    kind: 'relay',
    async discover(_network, found, call) {
      for (const [index, id] of ids.entries()) {
        const relay: Relay = {
          kind: 'relay',
          party: party(id, `${40 + index}.0.0.0/16`),
          async reserve(each) {
            trace.push(`reserve ${id}`)
            await clock.sleep(2, each)
            if (refuses(id)) throw natError('OUT_OF_RESOURCES', 'full')
            const lease: Lease = {
              addresses: [`/ip4/40.${index}.0.1/tcp/4001/p2p/${id}/p2p-circuit`],
              lifetimeMs: 3_600_000,
              renew: async () => lease,
              async release() {
                trace.push(`let go ${id}`)
              }
            }
            return lease
          }
        }
        found(relay)
      }
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })

/** A sink that keeps what it is given. */
export interface KeepingSink extends MetricsSink {
  /** Returns how often an instrument was recorded with these attributes, others left open: of a counter, the sum. */
  total(name: InstrumentName, attributes?: Attributes): number
  /** Returns the values of a gauge that are not 0, by the values of their attributes: `{ 'mapped consistent': 1 }`. */
  gauge(name: InstrumentName): Readonly<Record<string, number>>
  /** Returns the attributes of everything that was recorded. */
  recorded(): readonly Attributes[]
  /** Returns how many gauges are read. */
  gauges(): number
}

export function keepingSink(): KeepingSink {
  const records: { readonly instrument: Instrument; readonly value: number; readonly attributes: Attributes }[] = []
  const reads = new Map<string, () => readonly Reading[]>()
  return {
    record: (instrument, value, attributes) => void records.push({ instrument, value, attributes }),
    observe({ name }, read) {
      reads.set(name, read)
      return () => void reads.delete(name)
    },
    total(name, attributes = {}) {
      const { name: wanted, kind } = instruments[name]
      const found = records.filter(
        (each) =>
          each.instrument.name === wanted &&
          Object.entries(attributes).every(([key, value]) => each.attributes[key] === value)
      )
      return kind === 'histogram' ? found.length : found.reduce((sum, { value }) => sum + value, 0)
    },
    gauge: (name) =>
      Object.fromEntries(
        (reads.get(instruments[name].name)?.() ?? [])
          .filter(({ value }) => value !== 0)
          .map(({ value, attributes }) => [Object.values(attributes).join(' '), value])
      ),
    recorded: () => records.map(({ attributes }) => attributes),
    gauges: () => reads.size
  }
}
