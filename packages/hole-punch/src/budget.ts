import { type Clock, networkOf } from '@postern/interface'

/** How often anything may be dialled that somebody else has named. */
export interface Budget {
  /** Whether one more may leave now; it counts then. */
  take(host: string): boolean
}

export interface BudgetLimits {
  /** SYNs to one IP address, a minute. */
  readonly perAddress: number
  /** … to one network (/16, /32 of IPv6). */
  readonly perNetwork: number
  readonly inAll: number
}

const minuteMs = 60_000

/** Counts in periods of a minute: what is forgotten at their end needs no timer, and the table cannot grow for ever. */
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
      const network = `in ${networkOf(host) ?? host}`
      const [toHost, toNetwork] = [spent.get(host) ?? 0, spent.get(network) ?? 0]
      if (toHost >= perAddress || toNetwork >= perNetwork || total >= inAll) return false
      spent.set(host, toHost + 1)
      spent.set(network, toNetwork + 1)
      total++
      return true
    }
  }
}
