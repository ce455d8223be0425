import type { Endpoint } from '@postern/interface'

/** An entry that may exist on the router although the request for it failed. */
export interface OpenEnd {
  readonly externalPort: number
  /** The name that the router uses for this host instead of an address. */
  readonly knownAs: string | undefined
  /** When the addition was sent, on the monotonic clock, if it was not answered. */
  readonly unansweredMs: number | undefined
}

/** The entries that failed requests of this run may have left on one device. */
export interface OpenEnds {
  /** Adds entries for an endpoint. */
  add(endpoint: Endpoint, ends: readonly OpenEnd[]): void
  /** Returns the entries for an endpoint. */
  of(endpoint: Endpoint): readonly OpenEnd[]
  /** Forgets the entries for an endpoint. */
  clear(endpoint: Endpoint): void
}

/** Creates an empty collection. */
export function createOpenEnds(): OpenEnds {
  const open = new Map<string, Map<number, OpenEnd>>()
  return {
    add(endpoint, ends) {
      if (ends.length === 0) return
      const known = open.get(keyOf(endpoint)) ?? new Map<number, OpenEnd>()
      for (const end of ends) known.set(end.externalPort, end)
      open.set(keyOf(endpoint), known)
    },
    of: (endpoint) => [...(open.get(keyOf(endpoint))?.values() ?? [])],
    clear: (endpoint) => void open.delete(keyOf(endpoint))
  }
}

const keyOf = ({ protocol, address, port }: Endpoint): string => `${protocol} ${address} ${port}`
