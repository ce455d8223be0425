import { type Clock, networkPrefixOf } from '@postern/interface'

/** Limits the dials to addresses that a remote peer has chosen. */
export interface Budget {
  /** Returns whether one more dial to this IP address is allowed now, and counts it if so. */
  take(host: string): boolean
}

export interface BudgetLimits {
  /** SYNs per minute to one IP address. */
  readonly perAddress: number
  /** SYNs per minute to one network (IPv4 /16 or IPv6 /32). */
  readonly perNetwork: number
  /** SYNs per minute in total. */
  readonly inAll: number
}

const minuteMs = 60_000

/**
 * Creates a budget that counts in periods of one minute. It needs no timer, and its table is bounded by the total
 * limit.
 */
export function createBudget(clock: Clock, { perAddress, perNetwork, inAll }: BudgetLimits): Budget {
  const spent = new Map<string, number>()
  let total = 0
  let sinceMs = clock.monotonicMs()

  return {
    take(host) {
      if (clock.monotonicMs() - sinceMs >= minuteMs) {
        sinceMs = clock.monotonicMs()
        total = 0
        spent.clear()
      }
      const network = `in ${networkPrefixOf(host) ?? host}`
      const [toHost, toNetwork] = [spent.get(host) ?? 0, spent.get(network) ?? 0]
      if (toHost >= perAddress || toNetwork >= perNetwork || total >= inAll) return false
      spent.set(host, toHost + 1)
      spent.set(network, toNetwork + 1)
      total++
      return true
    }
  }
}
