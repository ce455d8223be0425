import type { CallOptions, Clock, Endpoint, MultiaddrText } from '@postern/interface'
import type { MemoryBook } from './memory.js'
import type { Want } from './wants.js'

/** A program of this host that uses the mapping of an endpoint. */
export interface Owner {
  readonly pid: number
  readonly program: string
}

/**
 * Knows the programs of this host that use one mapping: a mapping belongs to an endpoint, and several may have the same.
 *
 * Nothing of it rejects, and all of it answers within a second or two, with what is known by then.
 */
export interface EndpointOwners {
  /** Registers one more owner. `changed` is called when another one has left, and the mapping may be gone or shortened. */
  join(endpoint: Endpoint, changed: () => void): EndpointClaim
  /** The owners that hold a mapping of the endpoint at this moment. */
  holders(endpoint: Endpoint): Promise<readonly Owner[]>
}

/** What one owner says, and hears of the other ones. */
export interface EndpointClaim {
  /** Resolves with the key that all owners ask a gateway with: that of the others, or else the proposed one. */
  agree(gateway: string, key: string): Promise<string>
  /** Tells which external addresses it holds. */
  holds(addresses: readonly MultiaddrText[]): void
  /** The other owners that hold a mapping, or one with an address of these. */
  others(addresses?: readonly MultiaddrText[]): Promise<readonly Owner[]>
  /** Tells that it holds nothing any more. Resolves with the owners that hold one of the addresses: without any, the caller
   * deletes the mapping, and calls `end` after that. */
  leave(addresses: readonly MultiaddrText[]): Promise<readonly Owner[]>
  /** Idempotent. The other owners hear of it. */
  end(): Promise<void>
}

interface Known {
  readonly claim: EndpointClaim
  readonly wants: Set<Want>
  /** As it was told last. */
  others: readonly Owner[]
}

/** The claims of one traversal: one for each endpoint, however many mappers are asked for it. */
export interface Claims {
  /** Resolves with the key to ask the gateway with. */
  agree(want: Want, endpoint: Endpoint, gateway: string, key: string, call: CallOptions): Promise<string>
  holds(endpoint: Endpoint, addresses: readonly MultiaddrText[]): void
  /** The other owners that hold one of the addresses; of any address, if none are given. */
  others(endpoint: Endpoint, addresses?: readonly MultiaddrText[]): Promise<readonly Owner[]>
  leave(endpoint: Endpoint, addresses: readonly MultiaddrText[]): Promise<readonly Owner[]>
  /** Ends the claims that were made for a want alone. */
  drop(want: Want): Promise<void>
}

/** Longer, in ms, it is not waited for: a state folder that is away must not keep a host unreachable. */
const patienceMs = 2000
/** At the end there is less time: the router has to be asked still, in ms. */
const leavingMs = 1000

/** @param changed - told of an endpoint whose mapping is to be asked for again */
export function createClaims(
  owners: EndpointOwners | undefined,
  clock: Clock,
  changed: (endpoint: Endpoint) => void
): Claims {
  const claims = new Map<string, Known>()

  /** What it gives, or `otherwise` where it takes too long. */
  async function soon<T>(work: Promise<T>, otherwise: T, ms = patienceMs): Promise<T> {
    const over = new AbortController()
    const late = clock.sleep(ms, over).then(
      () => otherwise,
      () => otherwise
    )
    return Promise.race([work, late]).finally(() => over.abort(done))
  }

  return {
    async agree(want, endpoint, gateway, key, { signal }) {
      if (owners === undefined) return key
      const id = keyOf(endpoint)
      const known: Known = claims.get(id) ?? {
        claim: owners.join(endpoint, () => changed(endpoint)),
        wants: new Set(),
        others: []
      }
      claims.set(id, known)
      known.wants.add(want)
      const agreed = await soon(known.claim.agree(gateway, key), key)
      signal.throwIfAborted()
      return agreed
    },
    holds: (endpoint, addresses) => claims.get(keyOf(endpoint))?.claim.holds(addresses),
    async others(endpoint, addresses) {
      if (owners === undefined) return []
      const known = claims.get(keyOf(endpoint))
      if (known === undefined) return soon(owners.holders(endpoint), [])
      known.others = await soon(known.claim.others(addresses), known.others)
      return known.others
    },
    async leave(endpoint, addresses) {
      const known = claims.get(keyOf(endpoint))
      return known === undefined ? [] : soon(known.claim.leave(addresses), known.others, leavingMs)
    },
    async drop(want) {
      for (const [id, { claim, wants }] of claims) {
        if (!wants.delete(want) || wants.size > 0) continue
        claims.delete(id)
        await soon(claim.end(), undefined, leavingMs)
      }
    }
  }
}

/** Resolves with a memory whose key is the one that all owners of the endpoint use. */
export async function agreeOn(
  memory: Awaited<ReturnType<MemoryBook['recall']>>,
  { claims, book, want }: { readonly claims: Claims; readonly book: MemoryBook; readonly want: Want },
  call: CallOptions
): Promise<Awaited<ReturnType<MemoryBook['recall']>>> {
  const key = await claims.agree(want, memory.endpoint, memory.gateway.address, memory.key, call)
  return key === memory.key ? memory : book.rekey(memory, key, call)
}

/** Made once: an abort without a reason makes a new error with its stack. */
const done = new Error('it is not waited for any more')

const keyOf = ({ protocol, address, port }: Endpoint): string => `${protocol} ${address} ${port}`
