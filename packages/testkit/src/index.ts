/**
 * A fake gateway for tests. It speaks PCP, NAT-PMP and UPnP, is strict, and can simulate many faults. With the virtual
 * clock and the in-memory network, a month of renewals takes seconds.
 *
 * @packageDocumentation
 */

export { systemClock } from '@postern/interface'
export type { AnnounceOptions } from './announce.js'
export type { BeyondNextHop, BeyondNextHopOptions } from './beyond-next-hop.js'
export { searchBeyondNextHop } from './beyond-next-hop.js'
export type { BrokenStrategy } from './broken/change.js'
export { brokenStrategies } from './broken/index.js'
export { referenceMapper } from './broken/reference-mapper.js'
export type {
  ReferenceGrant,
  ReferenceMood,
  ReferenceRule,
  ReferenceTable,
  ReferenceTableOptions,
  ReferenceWish
} from './broken/reference-table.js'
export { referenceTable } from './broken/reference-table.js'
export type { VirtualClock, VirtualClockOptions } from './clock.js'
export { virtualClock } from './clock.js'
export type { Counters, ServiceCounters } from './counters.js'
export type { Fault, FaultKind, FaultOf, FaultScope, ReplyContext, Service } from './faults.js'
export type { FakeGateway, GatewayOptions, Occupied, RebootOptions } from './gateway.js'
export { createGateway } from './gateway.js'
export type { ListeningGateway, ListenOptions } from './listen.js'
export { listen } from './listen.js'
export type { GatewayProtocol, Mapping, PortRange } from './mapping-table.js'
export type { AttachOptions, MemoryHost, MemoryNetwork, MemoryNetworkOptions } from './memory-network.js'
export { memoryNetwork } from './memory-network.js'
export { personalities, personalityGroups } from './personalities/index.js'
export type { Personality, PersonalityOutcome, RouterEvent } from './personalities/personality.js'
export { createPersonality, letHappen, personalityNetwork } from './personalities/personality.js'
export type {
  Cast,
  DatagramPort,
  HttpAnswer,
  HttpRequest,
  Line,
  OutgoingDatagram,
  Outlet,
  Sender
} from './transport.js'
export type { UpnpOptions, WanService } from './upnp-device.js'
