import type { Endpoint, MultiaddrText } from '@postern/interface'

/** Who holds which external address. Two leases of one address are one mapping in the router. */
export interface Ledger {
  /** Notes that this holder's lease names the address. A holder of the same address for another endpoint has lost it. */
  take(address: MultiaddrText, holder: Holder): void
  /** Notes that it does no more. True if nobody else's lease names the address: it may be released. */
  leave(address: MultiaddrText, holder: Holder): boolean
  /** Whether anybody's lease names the address. */
  isHeld(address: MultiaddrText): boolean
}

export interface Holder {
  readonly endpoint: Endpoint
  /** The mapping points to somebody else now. */
  readonly forfeit: () => void
  readonly isForfeit: () => boolean
}

/** @param lost - told when it is forfeit */
export function createHolder(endpoint: Endpoint, lost: () => void): Holder {
  let isForfeit = false
  return {
    endpoint,
    isForfeit: () => isForfeit,
    forfeit() {
      isForfeit = true
      lost()
    }
  }
}

export function createLedger(): Ledger {
  const holders = new Map<MultiaddrText, Set<Holder>>()
  return {
    take(address, holder) {
      const current = holders.get(address) ?? new Set()
      for (const other of current) if (!isSame(other.endpoint, holder.endpoint)) other.forfeit()
      holders.set(address, current.add(holder))
    },
    leave(address, holder) {
      const current = holders.get(address)
      current?.delete(holder)
      if (current !== undefined && current.size > 0) return false
      holders.delete(address)
      return true
    },
    isHeld: (address) => holders.has(address)
  }
}

const isSame = (one: Endpoint, other: Endpoint): boolean =>
  one.protocol === other.protocol && one.address === other.address && one.port === other.port
