import type { Endpoint } from '@postern/interface'

/** What is remembered of one mapping, across runs and across `kill -9`. JSON, with times in Unix ms. */
export interface Memory {
  /** The router: its address, and its hardware address where that is known. Empty for a mapping without a router. */
  readonly gateway: { readonly address: string; readonly mac: string | null }
  /** The endpoint that it leads to. */
  readonly endpoint: Endpoint
  /** The name of the strategy that granted it; null until one has. */
  readonly strategy: string | null
  /** 32 hexadecimal digits. Secret: it allows deleting the mapping. */
  readonly key: string
  /** Null until a port was granted. */
  readonly externalPort: number | null
  /** The external port that was requested then. A request for another port does not reuse the granted one. */
  readonly wantedPort: number | null
  /** Null until something was granted, and for a mapping that never expires. */
  readonly expiresAt: number | null
  /** When the address was last verified from outside. */
  readonly verifiedAt: number | null
  /** How the router deviates from its protocols, as strategies reported it: `upnp:only-permanent-leases` for example.
   * Quirks outlive the mapping, and later requests carry them. */
  readonly quirks?: readonly string[]
}

/** Where memories are kept. */
export interface Store {
  /** Resolves with what was saved last; with an empty array if there is nothing yet, or nothing usable. */
  load(): Promise<readonly Memory[]>
  /** Replaces all memories, completely or not at all. */
  save(memories: readonly Memory[]): Promise<void>
}

/** Creates a store that is lost with the process: the default. */
export function memoryStore(memories: readonly Memory[] = []): Store {
  let kept = memories
  return {
    load: async () => kept,
    save: async (next) => {
      kept = next
    }
  }
}
