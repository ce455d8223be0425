import { checkOptions, type Host, type Strategy } from '@postern/interface'
import { checkedObject, checkHost, checkPolicy, checkStore, checkStrategies } from './check-options.js'
import { systemHost } from './host.js'
import { memoryStore, type Store } from './memory.js'
import type { EndpointOwners } from './owners.js'
import type { Doubt } from './doubts.js'
import { defaultPolicy, type Policy, type RelayPolicy } from './policy.js'

export interface TraversalOptions<H extends Host = Host> {
  /** In rank order: the first is tried first. */
  readonly strategies: readonly Strategy<H>[]
  /** Clock, randomness and log.
   * @default the machine's clock, `Math.random`, and no log */
  readonly host?: H
  /** What is remembered across runs.
   * @default nothing */
  readonly store?: Store
  /** The programs of this host that may want the same endpoint mapped: they share one mapping, and the last one that leaves
   * deletes it.
   * @default none are known: each program deletes its mappings when it leaves */
  readonly owners?: EndpointOwners
  /** Looks from this side for what speaks against an external IPv4 address that the default router claims. An address
   * that is doubted is not taken for reachable unless witnesses verify it.
   * @default nothing is looked for */
  readonly doubt?: Doubt
  /** Replaces parts of {@link defaultPolicy}.
   * @default the default policy */
  readonly policy?: PolicyOptions
}

/** Like {@link TraversalOptions}, for strategies that need more than a plain host. */
export interface HostedOptions<H extends Host> extends TraversalOptions<H> {
  readonly host: H
}

export type PolicyOptions = Partial<Omit<Policy, 'relay'>> & { readonly relay?: Partial<RelayPolicy> }

export interface WantOptions {
  /** Aborted when the endpoint is no longer wanted: its mapping is given back then. */
  readonly signal?: AbortSignal
  /** The external port to ask for first. The only way to ask for one below 1024.
   * @default the endpoint's own port */
  readonly externalPort?: number
  /** The lifetime to ask for, in ms.
   * @default the policy's */
  readonly lifetimeMs?: number
  /** What follows the port in the endpoint's addresses, `/ws` or `/quic-v1` for example: they are reported, and verified,
   * with it. The first one counts where an endpoint is wanted twice.
   * @default nothing */
  readonly suffix?: string
}

/** Reads the options once. Throws a TypeError for one that cannot be right. */
export function readOptions(options: TraversalOptions): Required<Omit<TraversalOptions, 'doubt' | 'owners'>> & {
  readonly policy: Policy
  readonly doubt: Doubt | undefined
  readonly owners: EndpointOwners | undefined
} {
  checkOptions<TraversalOptions>('createTraversal()', options, {
    strategies: 'any',
    host: 'any',
    store: 'any',
    owners: 'any',
    doubt: 'function',
    policy: 'any'
  })
  const { strategies, host = systemHost, store = memoryStore(), policy = {}, doubt, owners } = options
  checkStrategies(strategies)
  checkHost(host)
  checkStore(store)
  // A wait of its own needs both of its parts, and the relay policy does not.
  const { relay = {}, ...rest } = checkedObject('policy', policy)
  const merged = {
    ...defaultPolicy,
    ...rest,
    relay: { ...defaultPolicy.relay, ...checkedObject('policy.relay', relay) }
  }
  checkPolicy(merged)
  return { strategies, host, store, policy: merged, doubt, owners }
}
