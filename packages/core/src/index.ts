/**
 * The ladder: tries NAT traversal strategies in rank order for every wanted endpoint, keeps the granted mappings alive,
 * has them verified, falls back to relays, and reports how reachable the host is and why. It opens no sockets.
 *
 * @packageDocumentation
 */
// `await using` in the types, also for a program with an older `lib` and without @types/node, which brings it.
/// <reference lib="esnext.disposable" preserve="true" />
import './one-copy.js'

export { systemClock } from '@postern/interface'
export type { CheckExternalAddress } from './candidates/claim-checks.js'
export type { WantOptions } from './discovery/wanted-endpoints.js'
export { systemHost } from './host.js'
export { formatMemories, parseMemories } from './memory/codec.js'
export type { Memory, Store } from './memory/store.js'
export { memoryStore } from './memory/store.js'
export type {
  Instrument,
  InstrumentAttribute,
  InstrumentName
} from './metrics/instruments.js'
export { builtInStrategies, instruments, prometheusLabel, prometheusName, singleLabel } from './metrics/instruments.js'
export type {
  MeterAttributes,
  MeterCallback,
  MeterOptions,
  ObservableCounter,
  OpenTelemetryMeter
} from './metrics/open-telemetry.js'
export { openTelemetryMetrics } from './metrics/open-telemetry.js'
export type { MetricsRecording } from './metrics/record-metrics.js'
export { recordMetrics } from './metrics/record-metrics.js'
export type { Attributes, MetricsSink, MetricsSource, Reading } from './metrics/sink.js'
export type { SummedReadings } from './metrics/summed-readings.js'
export { createSummedReadings } from './metrics/summed-readings.js'
export type {
  EventReason,
  MappingEvent,
  MappingEventName,
  Owner,
  TraversalEvents,
  TypedEvents
} from './model/events.js'
export { mappingEventNames } from './model/events.js'
export type { LeaseEvent } from './model/lease-event.js'
export type {
  CaptivePortalReport,
  HeldMapping,
  HostFirewallReport,
  Ipv6Report,
  MappingOddity,
  MappingsReport,
  NeighbourhoodReport,
  TranslationReport
} from './model/neighbourhood.js'
export type { BackOff, Policy, RelayPolicy } from './model/policy.js'
export { defaultPolicy } from './model/policy.js'
export type {
  CandidateReport,
  CandidateState,
  Cause,
  EvidenceReport,
  GatewayReport,
  NatReport,
  PeerReport,
  ProtocolsReport,
  RelayReport,
  Report,
  StrategyReport,
  StrategyState,
  Verdict
} from './model/report.js'
export type { RequestEvent, RequestVerb } from './model/request-event.js'
export type { OpenSharedSocket } from './nat/observe.js'
export type { HostedOptions, PolicyOptions, TraversalOptions } from './options.js'
export type { EndpointClaim, EndpointOwners } from './owners/mapping-owners.js'
export type { Traversal } from './traversal.js'
export { createTraversal } from './traversal.js'
