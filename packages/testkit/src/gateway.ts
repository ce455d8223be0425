import { type Clock, familyOf, isGlobal, type Protocol, systemClock } from '@postern/interface'
import { type AnnounceOptions, announceOn } from './announce.js'
import { type Counters, createCounters } from './counters.js'
import type { Engine } from './engine.js'
import { createFaultList, type Fault, type Service } from './faults.js'
import { createMappingTable, type GatewayProtocol, type Mapping, type PortRange } from './mapping-table.js'
import { createReception, type Link } from './reception.js'
import type { DatagramPort, Line, Outlet } from './transport.js'
import { createUpnpDevice, type UpnpOptions } from './upnp-device.js'

/** Options of `createGateway()`. */
export interface GatewayOptions {
  /** The clock for lifetimes and the epoch. @default the clock of this machine */
  readonly clock?: Clock
  /** The source of randomness. @default `Math.random` */
  readonly random?: () => number
  /** The external IPv4 address. @default '1.2.3.4' */
  readonly externalAddress?: string
  /** The supported protocols. @default all three */
  readonly protocols?: readonly GatewayProtocol[]
  /** The epoch at creation, in seconds. A reboot restarts it at 0. @default 0 */
  readonly epochSeconds?: number
  /** The seconds of the epoch that pass in one second: 0 stands still, a negative number runs backwards. @default 1 */
  readonly epochRate?: number
  /** Existing mappings of other hosts, without an end. @default none */
  readonly occupied?: readonly Occupied[]
  /** The shortest lifetime that PCP grants. NAT-PMP must not grant more than was requested. @default 120 */
  readonly minLifetimeSeconds?: number
  /** The longest lifetime that is granted. @default 86400 */
  readonly maxLifetimeSeconds?: number
  /** The range of ports that replace a taken one. @default 1024 to 65535 */
  readonly portRange?: PortRange
  /** The maximum number of mappings. @default no limit */
  readonly maxMappings?: number
  /** The maximum number of mappings of one host. @default no limit */
  readonly maxMappingsPerHost?: number
  /** The properties of the UPnP device. */
  readonly upnp?: UpnpOptions
}

/** An existing TCP mapping. */
export interface Occupied {
  /** The external port. */
  readonly externalPort: number
  /** The address of the other host. */
  readonly internalAddress: string
  /** The port of the other host. */
  readonly internalPort: number
}

/** A router that exists in memory only. Clients reach it through `listen` or `memoryNetwork`. */
export interface FakeGateway {
  /** The clock of the gateway. */
  readonly clock: Clock
  /** The current mappings. */
  readonly mappings: readonly Mapping[]
  /** The counters of each service. */
  readonly counters: Counters
  /** The protocol violations of clients, as text; empty after a correct client. */
  readonly violations: readonly string[]
  /** The external IPv4 address. */
  readonly externalAddress: string
  /** The active faults. */
  readonly faults: readonly Fault[]
  /** The faults that have struck at least once. A fault that has not struck was not tested. */
  readonly struckFaults: ReadonlySet<Fault>
  /** Activates a fault. Returns a function that removes it. */
  inject(fault: Fault): () => void
  /** Removes all faults. */
  clearFaults(): void
  /** Loses all state and begins a new epoch. Sends no announcement: see {@link FakeGateway.announce}. */
  reboot(options?: RebootOptions): void
  /** Changes the external address of the gateway and of its mappings. Sends no announcement. */
  setExternalAddress(address: string): void
  /** Returns the internal destination of a packet from the internet to this external address; undefined if the router
   * drops it, or if the address is not reachable from the internet. */
  deliver(protocol: Protocol, address: string, port: number): { address: string; port: number } | undefined
  /** Loses mappings silently: all, or those that the filter selects. */
  forget(filter?: (mapping: Mapping) => boolean): void
  /** Sends the multicast announcements of a reboot or a change: NAT-PMP, PCP, and SSDP `alive` or `byebye`. */
  announce(options?: AnnounceOptions): void
  /** Connects a link. `listen` and `memoryNetwork` call this; tests need not. */
  connect(outlet: Outlet): Line
}

/** Options of `FakeGateway.reboot`. */
export interface RebootOptions {
  /** The new HTTP port of the UPnP description. @default the old one */
  readonly upnpPort?: number
  /** Whether the mappings survive. @default false */
  readonly keepMappings?: boolean
  /**
   * Whether the epoch continues, as with miniupnpd's `system_uptime=yes` when only the daemon restarts. @default false
   */
  readonly keepEpoch?: boolean
  /** The start of the new epoch, in seconds. @default 0 */
  readonly epochSeconds?: number
}

/** Creates a gateway without a network. */
export function createGateway(options: GatewayOptions = {}): FakeGateway {
  const {
    clock = systemClock,
    random = Math.random,
    externalAddress = '1.2.3.4',
    protocols = ['pcp', 'nat-pmp', 'upnp'],
    epochSeconds = 0,
    epochRate = 1,
    occupied = [],
    minLifetimeSeconds = 120,
    maxLifetimeSeconds = 86_400,
    portRange = { first: 1024, last: 65_535 },
    maxMappings = Number.POSITIVE_INFINITY,
    maxMappingsPerHost = Number.POSITIVE_INFINITY,
    upnp = {}
  } = options
  const links = new Set<Link>()
  const violations: string[] = []
  /** The value of the epoch at a point of monotonic time. */
  let epoch = { seconds: epochSeconds, atMs: clock.monotonicMs() }

  const faults = createFaultList(() => {
    for (const { outlet } of links) outlet.changed()
  })
  const engine: Engine = {
    clock,
    random,
    table: createMappingTable(() => clock.monotonicMs(), portRange),
    faults,
    counters: createCounters(),
    protocols,
    upnp: createUpnpDevice(upnp, random),
    limits: { minLifetimeSeconds, maxLifetimeSeconds, maxMappings, maxMappingsPerHost },
    externalAddress,
    hintAt: Number.NEGATIVE_INFINITY,
    epochSeconds: () =>
      Math.max(0, Math.floor(epoch.seconds + (epochRate * (clock.monotonicMs() - epoch.atMs)) / 1000)) >>> 0,
    violation: (text) => violations.push(text)
  }

  for (const { externalPort, internalAddress, internalPort } of occupied) {
    engine.table.add({
      family: 4,
      protocol: 'tcp',
      externalAddress,
      externalPort,
      internalAddress,
      internalPort,
      expiresAt: Number.POSITIVE_INFINITY,
      nonce: null,
      via: 'upnp',
      description: 'another program',
      grantedAt: clock.monotonicMs(),
      clientPort: 0,
      lastVia: 'upnp'
    })
  }

  const reception = createReception(engine)

  return {
    clock,
    get mappings() {
      return engine.table.list()
    },
    counters: engine.counters,
    violations,
    get externalAddress() {
      return engine.externalAddress
    },
    get faults() {
      return faults.active
    },
    struckFaults: faults.struck,
    inject: faults.inject,
    clearFaults: faults.clear,
    reboot({ upnpPort, keepMappings = false, keepEpoch = false, epochSeconds: startsAt = 0 } = {}) {
      const atMs = clock.monotonicMs()
      if (!keepEpoch) epoch = { seconds: startsAt, atMs }
      engine.hintAt = atMs
      engine.upnp.bootId += 1
      reception.reset()
      if (!keepMappings) for (const mapping of engine.table.list()) engine.table.remove(mapping)
      for (const { outlet } of links) outlet.rebooted(upnpPort)
    },
    setExternalAddress(address) {
      engine.externalAddress = address
      engine.hintAt = clock.monotonicMs()
      for (const mapping of engine.table.list()) {
        if (mapping.family === 4) engine.table.change(mapping, { externalAddress: address })
      }
    },
    deliver(protocol, address, port) {
      const family = familyOf(address)
      if (family === undefined || !isGlobal(address)) return undefined
      if (family === 4 && address !== engine.externalAddress) return undefined
      const mapping = engine.table.findByExternal(family, protocol, port, address)
      return mapping && { address: mapping.internalAddress, port: mapping.internalPort }
    },
    forget(filter = () => true) {
      for (const mapping of engine.table.list()) if (filter(mapping)) engine.table.remove(mapping)
    },
    announce(what) {
      engine.hintAt = clock.monotonicMs()
      for (const { outlet } of links) announceOn(engine, outlet, what ?? {})
    },
    connect(outlet) {
      const link = { outlet, closed: new AbortController() }
      links.add(link)
      return {
        datagram: (port, bytes, from, cast) => reception.datagram(link, port, bytes, from, cast),
        exchange: reception.exchange,
        isOpen: (port) => isOpen(engine, port),
        close() {
          links.delete(link)
          link.closed.abort()
        }
      }
    }
  }
}

/** Returns whether the port is open. NAT-PMP and PCP share one port, and so do the HTTP services. */
function isOpen({ faults, protocols }: Engine, port: DatagramPort | 'http'): boolean {
  const refused = (...services: readonly Service[]): boolean => services.some((each) => faults.has('refuse', each))
  if (port === 'ssdp') return protocols.includes('upnp') && !refused('ssdp')
  if (port === 'http') return protocols.includes('upnp') && !refused('description', 'control')
  return (protocols.includes('pcp') || protocols.includes('nat-pmp')) && !refused('pcp', 'nat-pmp')
}
