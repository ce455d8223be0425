import { type Clock, familyOf, isGlobal, type Protocol, systemClock } from '@postern/interface'
import { type AnnounceOptions, announceOn } from './announce.js'
import { type Counters, createCounters } from './counters.js'
import type { Engine } from './engine.js'
import { createFaultList, type Fault, type Service } from './faults.js'
import { createMappingTable, type GatewayProtocol, type Mapping, type PortRange } from './mapping-table.js'
import { createReception, type Link } from './reception.js'
import type { DatagramPort, Line, Outlet } from './transport.js'
import { createUpnpDevice, type UpnpOptions } from './upnp-device.js'

export interface GatewayOptions {
  /** Lifetimes and the epoch go by it. @default the machine's */
  readonly clock?: Clock
  /** @default `Math.random` */
  readonly random?: () => number
  /** The IPv4 address it has towards the internet. @default '1.2.3.4' */
  readonly externalAddress?: string
  /** What it speaks. @default all three */
  readonly protocols?: readonly GatewayProtocol[]
  /** Seconds since the epoch began when it is created; a reboot starts again at 0. @default 0 */
  readonly epochSeconds?: number
  /** How many seconds of the epoch pass in a second: 0 stands still, less runs backwards. @default 1 */
  readonly epochRate?: number
  /** What is mapped already, for other hosts and without an end. @default nothing */
  readonly occupied?: readonly Occupied[]
  /** Shorter wishes are granted this much: PCP only, since NAT-PMP must not grant more than was asked for. @default 120 */
  readonly minLifetimeSeconds?: number
  /** @default 86400 */
  readonly maxLifetimeSeconds?: number
  /** Where ports are looked for when the suggested one is taken. @default 1024 to 65535 */
  readonly portRange?: PortRange
  /** @default no limit */
  readonly maxMappings?: number
  /** @default no limit */
  readonly maxMappingsPerHost?: number
  /** What it is as a UPnP device. */
  readonly upnp?: UpnpOptions
}

/** A TCP mapping that was there before. */
export interface Occupied {
  readonly externalPort: number
  readonly internalAddress: string
  readonly internalPort: number
}

/** A router that is made of nothing but memory. Reached through `listen` or `memoryNetwork`. */
export interface FakeGateway {
  readonly clock: Clock
  /** What is mapped at this moment. */
  readonly mappings: readonly Mapping[]
  readonly counters: Counters
  /** What clients did that they must not do, in words: empty after a well-behaved test. */
  readonly violations: readonly string[]
  readonly externalAddress: string
  /** The faults in force. */
  readonly faults: readonly Fault[]
  /** The faults that have struck at least once: one that has not says nothing of what was tested. */
  readonly struckFaults: ReadonlySet<Fault>
  /** Puts a fault in force; returns what takes it back. */
  inject(fault: Fault): () => void
  clearFaults(): void
  /** Loses everything, begins a new epoch, and tells nobody: see {@link FakeGateway.announce}. */
  reboot(options?: RebootOptions): void
  /** Mappings move to the new address. Tells nobody. */
  setExternalAddress(address: string): void
  /** Tells where a packet from the internet to this external address ends; undefined where the router drops it, or where
   * no packet from the internet arrives at that address. */
  deliver(protocol: Protocol, address: string, port: number): { address: string; port: number } | undefined
  /** Loses mappings without any sign of it: all, or those that the filter picks. */
  forget(filter?: (mapping: Mapping) => boolean): void
  /** Says by multicast what a router says after a reboot or a change: NAT-PMP, PCP, and SSDP `alive` or `byebye`. */
  announce(options?: AnnounceOptions): void
  /** Connects a link. Users do not need this: `listen` and `memoryNetwork` do it. */
  connect(outlet: Outlet): Line
}

export interface RebootOptions {
  readonly upnpPort?: number
  readonly keepMappings?: boolean
  /** The epoch goes on, as with miniupnpd's `system_uptime=yes` where only the daemon starts again. @default false */
  readonly keepEpoch?: boolean
  /** What the epoch starts at. @default 0 */
  readonly epochSeconds?: number
}

/** Makes a gateway that is reachable nowhere yet. */
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
  /** The epoch was at this many seconds at this time. */
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

/** Whether anybody listens there. NAT-PMP and PCP are one daemon, and so is everything over HTTP. */
function isOpen({ faults, protocols }: Engine, port: DatagramPort | 'http'): boolean {
  const refused = (...services: readonly Service[]): boolean => services.some((each) => faults.has('refuse', each))
  if (port === 'ssdp') return protocols.includes('upnp') && !refused('ssdp')
  if (port === 'http') return protocols.includes('upnp') && !refused('description', 'control')
  return (protocols.includes('pcp') || protocols.includes('nat-pmp')) && !refused('pcp', 'nat-pmp')
}
