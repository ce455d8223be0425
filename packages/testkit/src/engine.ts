import type { Clock, Family, Protocol } from '@postern/interface'
import type { Counters } from './counters.js'
import type { FaultList, FaultOf, Service } from './faults.js'
import type { GatewayProtocol, Mapping, MappingTable } from './mapping-table.js'
import type { UpnpDevice } from './upnp-device.js'

/** What the servers of the three protocols share. */
export interface Engine {
  readonly clock: Clock
  readonly random: () => number
  readonly table: MappingTable
  readonly faults: FaultList
  readonly counters: Counters
  readonly protocols: readonly GatewayProtocol[]
  readonly limits: Limits
  readonly upnp: UpnpDevice
  externalAddress: string
  /** When something last happened that clients should react to at once. */
  hintAt: number
  epochSeconds(): number
  violation(text: string): void
}

export interface Limits {
  readonly minLifetimeSeconds: number
  readonly maxLifetimeSeconds: number
  readonly maxMappings: number
  readonly maxMappingsPerHost: number
}

export interface Wish {
  readonly via: GatewayProtocol
  readonly family: Family
  readonly protocol: Protocol
  readonly internalAddress: string
  readonly internalPort: number
  readonly suggestedPort: number
  /** Rather nothing than another port. */
  readonly exactPort: boolean
  readonly lifetimeSeconds: number
  readonly minLifetimeSeconds: number
  readonly nonce: Uint8Array | null
  readonly clientPort: number
}

export interface Grant {
  readonly externalPort: number
  readonly externalAddress: string
  readonly lifetimeSeconds: number
}

/** Grants a mapping in the way that PCP and NAT-PMP have in common: the internal end identifies it. */
export function grant(engine: Engine, wish: Wish, service: Service): Grant | 'no-port' | 'no-room' | 'quota' {
  const { table, faults, limits, counters, clock } = engine
  const { family, protocol, internalAddress, internalPort, via, nonce, clientPort } = wish
  const existing = table.findByInternal(family, protocol, internalAddress, internalPort)
  if (existing === undefined) {
    const all = table.list()
    if (all.length >= limits.maxMappings) return 'no-room'
    if (all.filter((each) => each.internalAddress === internalAddress).length >= limits.maxMappingsPerHost)
      return 'quota'
  }
  const other = faults.strike('grant', service)
  const externalPort = other?.externalPort ?? existing?.externalPort ?? portFor(engine, wish, service)
  if (externalPort === undefined) return 'no-port'
  if (wish.exactPort && existing !== undefined && existing.externalPort !== wish.suggestedPort) return 'no-port'
  const externalAddress = family === 4 ? engine.externalAddress : internalAddress
  const lifetimeSeconds =
    other?.lifetimeSeconds ??
    Math.min(limits.maxLifetimeSeconds, Math.max(wish.minLifetimeSeconds, wish.lifetimeSeconds))
  const answer = { externalPort, externalAddress: other?.externalAddress ?? externalAddress, lifetimeSeconds }
  if (faults.strike('lie', service) !== undefined) return answer

  const holder = table.findByExternal(family, protocol, externalPort, externalAddress)
  // A fault may name a port that another host holds: then the answer is a lie.
  if (holder !== undefined && holder.id !== existing?.id) return answer
  const now = clock.monotonicMs()
  const expiresAt = forgetfulExpiry(engine, service, now, lifetimeSeconds)
  if (existing === undefined) {
    counters[service].maps += 1
    table.add({
      family,
      protocol,
      externalAddress,
      externalPort,
      internalAddress,
      internalPort,
      expiresAt,
      nonce,
      via,
      description: '',
      grantedAt: now,
      clientPort,
      lastVia: via
    })
  } else {
    counters[service].renewals += 1
    if (existing.lastVia === via && hurried(engine, existing, clientPort))
      engine.violation(
        `${service}: asked for ${name(existing)} again ${Math.round(now - existing.grantedAt)} ms after it was granted; RFC 6887 §11.2.1 wants 4 s`
      )
    table.change(existing, {
      externalAddress,
      externalPort,
      expiresAt,
      grantedAt: now,
      clientPort,
      lastVia: via,
      ...(nonce === null ? {} : { nonce })
    })
  }
  return answer
}

function portFor(engine: Engine, wish: Wish, service: Service): number | undefined {
  const { family, protocol, internalAddress, internalPort, suggestedPort, exactPort } = wish
  // A pinhole translates nothing.
  if (family === 6) return internalPort
  const same = engine.faults.strike('same-port', service) !== undefined
  const wanted = same ? internalPort : suggestedPort
  const allowed = engine.faults.strike('allowed-ports', service)
  const port = engine.table.freePort(protocol, internalAddress, wanted, internalPort, allowed)
  return (same || exactPort) && wanted !== 0 && port !== wanted ? undefined : port
}

/** Whether a mapping is renewed too soon. The same datagram again is a retransmission, and comes from the same port. */
function hurried(engine: Engine, mapping: Mapping, clientPort: number): boolean {
  return (
    mapping.clientPort !== clientPort &&
    engine.hintAt <= mapping.grantedAt &&
    engine.clock.monotonicMs() - mapping.grantedAt < 4000
  )
}

/** When a mapping of this lifetime is gone, which may be sooner than the client was told. */
export function forgetfulExpiry(engine: Engine, service: Service, now: number, lifetimeSeconds: number): number {
  const isPermanent = lifetimeSeconds === Number.POSITIVE_INFINITY
  const fault = engine.faults.strike('forgetful', service, ({ leasesOnly }) => leasesOnly !== true || !isPermanent)
  const { afterMs = Number.POSITIVE_INFINITY } = fault ?? {}
  return now + Math.min(lifetimeSeconds * 1000, afterMs)
}

/** Removes a mapping on its owner's request. */
export function remove(engine: Engine, mapping: Mapping, service: Service): void {
  engine.counters[service].deletes += 1
  if (engine.faults.strike('lie', service) === undefined) engine.table.remove(mapping)
}

/** How a violation calls a mapping. */
export const name = (mapping: Mapping): string =>
  `${mapping.protocol} ${mapping.internalAddress}:${mapping.internalPort}`

/** The longest lifetime that anybody means seriously: more than this was meant as milliseconds. */
export const longestSeconds: number = 7 * 86_400

/** Whether a gateway that refuses some mappings refuses this one. */
export const refusesMapping =
  (externalPort: number, lifetimeSeconds: number) =>
  (fault: FaultOf<'refuses'>): boolean =>
    fault.port === externalPort || lifetimeSeconds > (fault.aboveSeconds ?? Number.POSITIVE_INFINITY)
