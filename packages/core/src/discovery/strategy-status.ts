import type { NatError } from '@postern/interface'

/** What a strategy's abilities have done so far. Changed only by its own methods. */
export interface StrategyStatus {
  /** What its abilities last failed with; undefined while they work. */
  readonly failure: NatError | undefined
  /** What could not be checked of the last grant; undefined if nothing. */
  readonly caveat: NatError | undefined
  /** The number of requests for a grant that have no answer yet. */
  readonly asking: number
  /** The number of current leases that its abilities granted. */
  readonly leases: number
  /** Whether its observers have answered. */
  readonly hasObserved: boolean
  failed(error: NatError): void
  /** An ability did what it was asked for. */
  succeeded(): void
  requestSent(): void
  requestAnswered(): void
  leaseAdded(): void
  leaseRemoved(): void
  /** Notes what could not be checked of the latest grant. */
  granted(caveat: NatError | undefined): void
  observersAnswered(hasObserved: boolean): void
  /** A new search begins: leases and requests stay, and what was said of the earlier network does not. */
  reset(): void
}

export function createStrategyStatus(): StrategyStatus {
  let failure: NatError | undefined
  let caveat: NatError | undefined
  let hasObserved = false
  let asking = 0
  let leases = 0
  return {
    get failure() {
      return failure
    },
    get caveat() {
      return caveat
    },
    get asking() {
      return asking
    },
    get leases() {
      return leases
    },
    get hasObserved() {
      return hasObserved
    },
    failed(error) {
      failure = error
    },
    succeeded() {
      failure = undefined
    },
    requestSent() {
      asking++
    },
    requestAnswered() {
      asking--
    },
    leaseAdded() {
      leases++
    },
    leaseRemoved() {
      leases--
    },
    granted(next) {
      caveat = next
    },
    observersAnswered(answered) {
      hasObserved = answered
    },
    reset() {
      failure = undefined
      caveat = undefined
      hasObserved = false
    }
  }
}
