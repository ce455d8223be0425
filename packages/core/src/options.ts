import { checkOptions, type Host, type Strategy } from '@postern/interface'
import type { CheckExternalAddress } from './candidates/claim-checks.js'
import { checkedObject, checkHost, checkPolicy, checkStore, checkStrategies } from './check-options.js'
import { systemHost } from './host.js'
import { memoryStore, type Store } from './memory/store.js'
import { defaultPolicy, type Policy, type RelayPolicy } from './model/policy.js'
import type { EndpointOwners } from './owners/mapping-owners.js'

/** What `createTraversal` takes. Read once; an invalid option is a TypeError. */
export interface TraversalOptions<H extends Host = Host> {
  /** The strategies in rank order: the first is tried first. */
  readonly strategies: readonly Strategy<H>[]
  /** Clock, randomness and log.
   * @default the machine's clock, `Math.random`, and no log */
  readonly host?: H
  /** Where mappings are remembered across runs.
   * @default a store that is lost with the process */
  readonly store?: Store
  /** Coordinates with other programs of this host that map the same endpoint: they share one mapping, and the last
   * program that stops deletes it.
   * @default no coordination: each program deletes its mappings when it stops */
  readonly owners?: EndpointOwners
  /** Checks, from this side of the router, an external IPv4 address that the default router claims. An address with
   * evidence against it does not count as reachable unless witnesses verify it.
   * @default no check */
  readonly checkExternalAddress?: CheckExternalAddress
  /** Replaces parts of {@link defaultPolicy}.
   * @default the default policy */
  readonly policy?: PolicyOptions
}

/** Like {@link TraversalOptions}, for strategies that need more than a plain host. */
export interface HostedOptions<H extends Host> extends TraversalOptions<H> {
  /** Clock, randomness and log, and what else the strategies need. */
  readonly host: H
}

/** Parts of the policy to replace. What is left out keeps its default. */
export type PolicyOptions = Partial<Omit<Policy, 'relay'>> & { readonly relay?: Partial<RelayPolicy> }

/** Reads the options once, with defaults. Throws a TypeError for an invalid option. */
export function readOptions(options: TraversalOptions): Required<
  Omit<TraversalOptions, 'checkExternalAddress' | 'owners'>
> & {
  readonly policy: Policy
  readonly checkExternalAddress: CheckExternalAddress | undefined
  readonly owners: EndpointOwners | undefined
} {
  checkOptions<TraversalOptions>('createTraversal()', options, {
    strategies: 'any',
    host: 'any',
    store: 'any',
    owners: 'any',
    checkExternalAddress: 'function',
    policy: 'any'
  })
  const { strategies, host = systemHost, store = memoryStore(), policy = {}, checkExternalAddress, owners } = options
  checkStrategies(strategies)
  checkHost(host)
  checkStore(store)
  // A back-off must be given whole; the relay policy may be given in parts.
  const { relay = {}, ...rest } = checkedObject('policy', policy)
  const merged = {
    ...defaultPolicy,
    ...rest,
    relay: { ...defaultPolicy.relay, ...checkedObject('policy.relay', relay) }
  }
  checkPolicy(merged)
  return { strategies, host, store, policy: merged, checkExternalAddress, owners }
}
