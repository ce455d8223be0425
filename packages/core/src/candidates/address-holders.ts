import type { Endpoint, MultiaddrText } from '@postern/interface'

/** Which leases hold which external address. Two leases of one address are one mapping in the router. */
export interface AddressHolders {
  /** Records that this holder's lease names the address. A holder of the address for another endpoint has lost its
   * mapping. */
  take(address: MultiaddrText, holder: AddressHolder): void
  /** Removes this holder. Returns true if it was the last one, so that the mapping may be released. */
  leave(address: MultiaddrText, holder: AddressHolder): boolean
  /** Whether any lease names the address. */
  isHeld(address: MultiaddrText): boolean
}

export interface AddressHolder {
  readonly endpoint: Endpoint
  /** Called when the mapping now points to another endpoint. */
  readonly supersede: () => void
  readonly isSuperseded: () => boolean
}

/** @param lost - called when the mapping points to another endpoint */
export function createAddressHolder(endpoint: Endpoint, lost: () => void): AddressHolder {
  let isSuperseded = false
  return {
    endpoint,
    isSuperseded: () => isSuperseded,
    supersede() {
      isSuperseded = true
      lost()
    }
  }
}

export function createAddressHolders(): AddressHolders {
  const holders = new Map<MultiaddrText, Set<AddressHolder>>()
  return {
    take(address, holder) {
      const current = holders.get(address) ?? new Set()
      for (const other of current) if (!isSame(other.endpoint, holder.endpoint)) other.supersede()
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
