/**
 * The ladder: tries NAT traversal strategies in rank order for every endpoint that is wanted, keeps what they grant
 * alive, has it verified, falls back to relays, and says how reachable the host is and why. It opens no socket.
 *
 * @packageDocumentation
 */
export { systemClock } from '@postern/interface'
export type { Doubt } from './doubts.js'
export type { EventReason, MappingEvent, MappingEventName, TraversalEvents, TypedEvents } from './events.js'
export { systemHost } from './host.js'
export type { Memory, Store } from './memory.js'
export { memoryStore } from './memory.js'
export { formatMemories, parseMemories } from './memory-text.js'
export type { LendTap } from './observers.js'
export type { HostedOptions, PolicyOptions, TraversalOptions, WantOptions } from './options.js'
export type { EndpointClaim, EndpointOwners, Owner } from './owners.js'
export type { BackOff, Policy, RelayPolicy } from './policy.js'
export { defaultPolicy } from './policy.js'
export type {
  CandidateReport,
  CandidateState,
  Cause,
  EvidenceReport,
  GatewayReport,
  NatReport,
  PeerReport,
  Report,
  StrategyReport,
  StrategyState,
  Verdict
} from './report.js'
export type { Traversal } from './traversal.js'
export { createTraversal } from './traversal.js'
