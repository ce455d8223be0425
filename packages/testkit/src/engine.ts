import type { Clock, Family, Protocol } from '@postern/interface'
import type { Counters } from './counters.js'
import type { FaultList, FaultOf, Service } from './faults.js'
import type { GatewayProtocol, Mapping, MappingTable } from './mapping-table.js'
import type { UpnpDevice } from './upnp-device.js'

/** The state that the servers of the three protocols share. */
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
  /** The last time at which clients got a reason to renew immediately (monotonic ms). */
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
  /** Whether to grant nothing rather than another port. */
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

/** Grants a mapping as PCP and NAT-PMP do: the internal endpoint identifies it. */
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
  // A fault may name a port of another host. Then the answer is false and no mapping is created.
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
        `${service}: asked for ${name(existing)} again ${Math.round(now - existing.grantedAt)} ms after it was granted; RFC 6887 §11.2.1 requires 4 s`
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
  // A pinhole does not translate ports.
  if (family === 6) return internalPort
  const same = engine.faults.strike('same-port', service) !== undefined
  const wanted = same ? internalPort : suggestedPort
  const allowed = engine.faults.strike('allowed-ports', service)
  const port = engine.table.freePort(protocol, internalAddress, wanted, internalPort, allowed)
  return (same || exactPort) && wanted !== 0 && port !== wanted ? undefined : port
}

/** Returns whether a mapping is renewed too soon. A retransmission comes from the same port and is allowed. */
function hurried(engine: Engine, mapping: Mapping, clientPort: number): boolean {
  return (
    mapping.clientPort !== clientPort &&
    engine.hintAt <= mapping.grantedAt &&
    engine.clock.monotonicMs() - mapping.grantedAt < 4000
  )
}

/** Returns when a mapping of this lifetime ends (monotonic ms). A fault can make it end earlier than the grant says. */
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

/** Returns the name of a mapping for a violation text. */
export const name = (mapping: Mapping): string =>
  `${mapping.protocol} ${mapping.internalAddress}:${mapping.internalPort}`

/** The longest plausible lifetime. A larger number was probably meant as milliseconds. */
export const longestSeconds: number = 7 * 86_400

/** Returns a predicate that tells whether the fault refuses this mapping. */
export const refusesMapping =
  (externalPort: number, lifetimeSeconds: number) =>
  (fault: FaultOf<'refuses'>): boolean =>
    fault.port === externalPort || lifetimeSeconds > (fault.aboveSeconds ?? Number.POSITIVE_INFINITY)
