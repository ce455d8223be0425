import type { CallOptions, Host, Network } from '@postern/interface'
import type { Candidates } from './candidates/candidates.js'
import type { GatewayQueues } from './discovery/gateway-queues.js'
import type { ClaimChecks } from './candidates/claim-checks.js'
import type { MappingEvent } from './model/events.js'
import type { AddressHolders } from './candidates/address-holders.js'
import type { HostCandidates } from './candidates/host-candidates.js'
import type { MappingMemory } from './memory/mapping-memory.js'
import type { GatewayRests } from './discovery/gateway-rests.js'
import type { MappingOwners } from './owners/mapping-owners.js'
import type { Policy } from './model/policy.js'
import type { StrategyEntry, Discoveries } from './discovery/discoveries.js'

/** What the parts of one traversal share. */
export interface Context {
  readonly host: Host
  readonly policy: Policy
  readonly discoveries: Discoveries
  readonly queues: GatewayQueues
  readonly gatewayRests: GatewayRests
  readonly memory: MappingMemory
  readonly candidates: Candidates
  readonly hostCandidates: HostCandidates
  readonly claimChecks: ClaimChecks
  readonly addressHolders: AddressHolders
  /** Coordinates the endpoints with other programs of this host. */
  readonly mappingOwners: MappingOwners
  readonly network: () => Network
  /** Whether a strategy of this rank may be used now; false while better-ranked ones are still searching. */
  readonly mayUse: (rank: number) => boolean
  readonly firstPassOver: () => boolean
  /** Whether a strategy that has found nothing may still receive an answer within the schedule of its protocol. */
  readonly isAwaited: (entry: StrategyEntry) => boolean
  readonly emit: (event: MappingEvent) => void
  /** Reports that something shown in the report has changed. */
  readonly touched: () => void
  /** Reports that a gateway now grants something different. */
  readonly gatewayChanged: (gateway: string) => void
  /** Has addresses verified and observed again, because earlier results may no longer hold. */
  readonly doubt: () => void
}

/** Work that is allowed during shutdown, until the signal aborts. */
export interface ShutdownScope extends CallOptions {
  /** Runs work in the background; `stop()` waits for it. */
  readonly track: (work: Promise<void>) => void
}
