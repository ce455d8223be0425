import type { Endpoint } from '@postern/interface'

/** An entry that the router may have although the request for it failed. */
export interface OpenEnd {
  readonly externalPort: number
  /** What the router calls this host, where that is no address. */
  readonly knownAs: string | undefined
  /** When the addition was sent, on the monotonic clock, where it was not answered. */
  readonly unansweredMs: number | undefined
}

/** What failed requests of this run may have left on one device. */
export interface OpenEnds {
  add(endpoint: Endpoint, ends: readonly OpenEnd[]): void
  of(endpoint: Endpoint): readonly OpenEnd[]
  clear(endpoint: Endpoint): void
}

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
