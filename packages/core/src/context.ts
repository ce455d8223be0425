import { type CallOptions, type Host, type Network, printable } from '@postern/interface'
import { type Bus, createBus } from './async/bus.js'
import { createRequests, type Requests } from './async/requests.js'
import { type AddressHolders, createAddressHolders } from './candidates/address-holders.js'
import { type Candidates, createCandidates } from './candidates/candidates.js'
import { type ClaimChecks, createClaimChecks } from './candidates/claim-checks.js'
import { createHostCandidates, type HostCandidates } from './candidates/host-candidates.js'
import {
  createDiscoveries,
  createRanked,
  type Discoveries,
  type DiscoveriesEvents,
  type RankedDiscovery
} from './discovery/discoveries.js'
import { createRouteCheck } from './discovery/endpoints.js'
import { createGatewayQueues, type GatewayQueues } from './discovery/gateway-queues.js'
import { createGatewayRests, type GatewayRests } from './discovery/gateway-rests.js'
import { createNetworkState, type NetworkState } from './discovery/network-state.js'
import { createSearchProgress, type SearchProgress } from './discovery/search-progress.js'
import { createMappingMemory, type MappingMemory } from './memory/mapping-memory.js'
import type { Policy } from './model/policy.js'
import type { readOptions } from './options.js'
import { createMappingOwners, type MappingOwners } from './owners/mapping-owners.js'
import type { Signals } from './signals.js'

/** What the parts of one traversal share: where they run, what they know, and how they tell each other. */
export interface Context {
  readonly host: Host
  readonly policy: Policy
  readonly bus: Bus<Signals>
  /** Makes requests to strategies, and tells on the bus how each ended. */
  readonly requests: Requests
  readonly network: () => Network
  readonly networkState: NetworkState
  /** The strategies as they were created for this host. */
  readonly ranked: readonly RankedDiscovery[]
  readonly discoveries: Discoveries
  /** Tells on the bus what a discovery has found. */
  readonly discoveryEvents: DiscoveriesEvents
  readonly progress: SearchProgress
  readonly queues: GatewayQueues
  readonly gatewayRests: GatewayRests
  readonly memory: MappingMemory
  readonly candidates: Candidates
  readonly hostCandidates: HostCandidates
  readonly claimChecks: ClaimChecks
  readonly addressHolders: AddressHolders
  /** Coordinates the endpoints with other programs of this host. */
  readonly mappingOwners: MappingOwners
}

/** Work that is allowed during shutdown, until the signal aborts. */
export interface ShutdownScope extends CallOptions {
  /** Runs work in the background; `stop()` waits for it. */
  readonly track: (work: Promise<void>) => void
}

/** Creates the tables of a traversal. Those that others react to tell their changes on the bus. */
export function createContext(options: ReturnType<typeof readOptions>): Context {
  const { strategies, host, store, policy, checkExternalAddress, owners } = options
  const { clock } = host
  const bus = createBus<Signals>()
  const networkState = createNetworkState(clock)
  const network = networkState.current
  const changed = (): void => bus.emit('reportChanged', undefined)
  const claimChecks = createClaimChecks(checkExternalAddress, clock, () => {
    bus.emit('claimChecked', undefined)
    changed()
  })
  const candidates = createCandidates(claimChecks, createRouteCheck(network), changed)
  const discoveryEvents: DiscoveriesEvents = {
    changed: (entry) => bus.emit('strategyChanged', entry),
    noticed: (entry, notice) => bus.emit('noticed', { entry, notice }),
    observed: ({ name }, notice) => bus.emit('observed', { strategy: name, notice }),
    searched: (event) => bus.emit('request', event)
  }
  const ranked = createRanked(strategies, host)
  const discoveries = createDiscoveries(ranked, host, policy, discoveryEvents)
  return {
    host,
    policy,
    bus,
    requests: createRequests(clock, (event) => bus.emit('request', event)),
    network,
    networkState,
    ranked,
    discoveries,
    discoveryEvents,
    progress: createSearchProgress(clock, policy, discoveries),
    queues: createGatewayQueues(clock, policy.requestTimeoutMs),
    gatewayRests: createGatewayRests(clock),
    memory: createMappingMemory(store, clock, (error) => host.log.info(`memory: ${printable(String(error))}`)),
    candidates,
    hostCandidates: createHostCandidates(candidates, network),
    claimChecks,
    addressHolders: createAddressHolders(),
    mappingOwners: createMappingOwners(owners, clock, (endpoint) => bus.emit('ownersChanged', endpoint))
  }
}
