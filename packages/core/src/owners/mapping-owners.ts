import { type CallOptions, type Clock, type Endpoint, type MultiaddrText, waitAtMost } from '@postern/interface'
import type { WantedEndpoint } from '../discovery/endpoints.js'
import type { MappingMemory } from '../memory/mapping-memory.js'
import type { Owner } from '../model/events.js'

/**
 * Coordinates the programs of this host that share the mapping of an endpoint.
 *
 * No promise of it rejects. Each resolves within a second or two, with what is known by then.
 */
export interface EndpointOwners {
  /** Registers this program as an owner. `changed` is called when another owner has left, since the mapping may be
   * deleted or shortened then. */
  join(endpoint: Endpoint, changed: () => void): EndpointClaim
  /** Resolves with the owners that hold a mapping of the endpoint now. */
  holders(endpoint: Endpoint): Promise<readonly Owner[]>
}

/** The share of one owner in the mapping of an endpoint. */
export interface EndpointClaim {
  /** Resolves with the key that all owners use at a gateway: that of the other owners, or else the proposed one. */
  agree(gateway: string, key: string): Promise<string>
  /** Publishes the external addresses that this owner holds. */
  holds(addresses: readonly MultiaddrText[]): void
  /** Resolves with the other owners that hold one of the addresses; any mapping of the endpoint if none are given. */
  others(addresses?: readonly MultiaddrText[]): Promise<readonly Owner[]>
  /** Publishes that this owner holds nothing. Resolves with the owners that hold one of the addresses. If there are
   * none, the caller deletes the mapping and then calls `end`. */
  leave(addresses: readonly MultiaddrText[]): Promise<readonly Owner[]>
  /** Ends the claim and notifies the other owners. Idempotent. */
  end(): Promise<void>
}

interface Known {
  readonly claim: EndpointClaim
  readonly wants: Set<WantedEndpoint>
  /** The last known answer. */
  others: readonly Owner[]
  /** The key that is being agreed before it is needed. */
  early: { readonly gateway: string; readonly key: Promise<string> } | undefined
}

/** The claims of one traversal: one for each endpoint, regardless of how many mappers are asked for it. */
export interface MappingOwners {
  /** Whether other programs of this host can be known. */
  readonly isShared: boolean
  /** Starts to agree on a key before it is needed, for the next {@link MappingOwners.agree} at the gateway. */
  agreeEarly(want: WantedEndpoint, endpoint: Endpoint, gateway: string, key: string): void
  /** Resolves with the key to use at the gateway. */
  agree(want: WantedEndpoint, endpoint: Endpoint, gateway: string, key: string, call: CallOptions): Promise<string>
  holds(endpoint: Endpoint, addresses: readonly MultiaddrText[]): void
  /** Resolves with the other owners that hold one of the addresses, or any address if none are given. */
  others(endpoint: Endpoint, addresses?: readonly MultiaddrText[]): Promise<readonly Owner[]>
  leave(endpoint: Endpoint, addresses: readonly MultiaddrText[]): Promise<readonly Owner[]>
  /** Ends the claims that only this want needs. */
  drop(want: WantedEndpoint): Promise<void>
}

/** How long to wait for other owners (ms): a missing state folder must not keep a host unreachable. */
const patienceMs = 2000
/** The shorter limit at the end, when the router has still to be asked (ms). */
const leavingMs = 1000

/** @param changed - called with an endpoint if its mapping must be requested again */
export function createMappingOwners(
  owners: EndpointOwners | undefined,
  clock: Clock,
  changed: (endpoint: Endpoint) => void
): MappingOwners {
  const mappingOwners = new Map<string, Known>()

  /** Resolves with the result of the work, or with `otherwise` if that takes too long. */
  function soon<T>(work: Promise<T>, otherwise: T, ms = patienceMs): Promise<T> {
    return waitAtMost(clock, ms, work, otherwise)
  }

  function join(registry: EndpointOwners, want: WantedEndpoint, endpoint: Endpoint): Known {
    const id = keyOf(endpoint)
    const known: Known = mappingOwners.get(id) ?? {
      claim: registry.join(endpoint, () => changed(endpoint)),
      wants: new Set(),
      others: [],
      early: undefined
    }
    mappingOwners.set(id, known)
    known.wants.add(want)
    return known
  }

  return {
    isShared: owners !== undefined,
    agreeEarly(want, endpoint, gateway, key) {
      if (owners === undefined) return
      const known = join(owners, want, endpoint)
      const agreed = soon(known.claim.agree(gateway, key), key)
      // An owner that breaks its promise not to reject is reported by the request, if there is one.
      agreed.catch(() => undefined)
      known.early = { gateway, key: agreed }
    },
    async agree(want, endpoint, gateway, key, { signal }) {
      if (owners === undefined) return key
      const known = join(owners, want, endpoint)
      const { early } = known
      known.early = undefined
      const agreed = await (early?.gateway === gateway ? early.key : soon(known.claim.agree(gateway, key), key))
      signal.throwIfAborted()
      return agreed
    },
    holds: (endpoint, addresses) => mappingOwners.get(keyOf(endpoint))?.claim.holds(addresses),
    async others(endpoint, addresses) {
      if (owners === undefined) return []
      const known = mappingOwners.get(keyOf(endpoint))
      if (known === undefined) return soon(owners.holders(endpoint), [])
      known.others = await soon(known.claim.others(addresses), known.others)
      return known.others
    },
    async leave(endpoint, addresses) {
      const known = mappingOwners.get(keyOf(endpoint))
      return known === undefined ? [] : soon(known.claim.leave(addresses), known.others, leavingMs)
    },
    async drop(want) {
      for (const [id, { claim, wants }] of mappingOwners) {
        if (!wants.delete(want) || wants.size > 0) continue
        mappingOwners.delete(id)
        await soon(claim.end(), undefined, leavingMs)
      }
    }
  }
}

/** Resolves with a memory that has the key of all owners of the endpoint. */
export async function agreeOn(
  memory: Awaited<ReturnType<MappingMemory['recall']>>,
  {
    mappingOwners,
    memories,
    want
  }: { readonly mappingOwners: MappingOwners; readonly memories: MappingMemory; readonly want: WantedEndpoint },
  call: CallOptions
): Promise<Awaited<ReturnType<MappingMemory['recall']>>> {
  const key = await mappingOwners.agree(want, memory.endpoint, memory.gateway.address, memory.key, call)
  return key === memory.key ? memory : memories.rekey(memory, key, call)
}

const keyOf = ({ protocol, address, port }: Endpoint): string => `${protocol} ${address} ${port}`
