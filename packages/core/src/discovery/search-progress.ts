import type { Clock } from '@postern/interface'
import type { Policy } from '../model/policy.js'
import type { Discoveries, StrategyEntry } from './discoveries.js'

/** How far the search of the present network is, and which strategies may be used by now. */
export interface SearchProgress {
  /** A search of the network begins. */
  began(): void
  /** Everything that can be tried at once has been tried. */
  passEnded(): void
  /** The traversal stops. */
  stopped(): void
  /** Since when the network is searched (monotonic ms); undefined while nothing runs. */
  readonly searchedMs: () => number | undefined
  readonly isPassOver: () => boolean
  /** Whether a strategy of this rank may be used now; false while better-ranked ones are still searching. */
  mayUse(rank: number): boolean
  /** Whether a strategy that has found nothing may still receive an answer within the schedule of its protocol. */
  isAwaited(entry: StrategyEntry): boolean
}

export function createSearchProgress(clock: Clock, policy: Policy, discoveries: Discoveries): SearchProgress {
  let searchedMs: number | undefined
  let isPassOver = false
  return {
    began() {
      searchedMs = clock.monotonicMs()
      isPassOver = false
    },
    passEnded() {
      isPassOver = true
    },
    stopped() {
      searchedMs = undefined
      isPassOver = false
    },
    searchedMs: () => searchedMs,
    isPassOver: () => isPassOver,
    mayUse(rank) {
      if (searchedMs === undefined) return false
      if (clock.monotonicMs() - searchedMs >= policy.preferenceWindowMs) return true
      return discoveries.entries.every((entry) => entry.rank >= rank || entry.settled || isNotMapper(entry))
    },
    isAwaited: (entry) =>
      searchedMs !== undefined &&
      !isAsked(entry) &&
      isSearching(entry, clock.monotonicMs() - searchedMs < policy.searchMs)
  }
}

/** Whether a strategy maps no ports. Relay, witness and STUN discovery takes seconds, so the first pass does not
 * wait for it. */
export const isNotMapper = ({ kind }: { readonly kind: string | null }): boolean => kind !== null && kind !== 'mapper'

/** Whether a mapper has been asked and has not answered yet. */
export const isAsked = ({ kind, status: { asking, leases, failure } }: StrategyEntry): boolean =>
  kind !== 'forwarder' && asking > 0 && leases === 0 && failure === undefined

/** Whether a strategy that maps ports has found nothing so far, and still may. */
export function isSearching({ kind, abilities, absence }: StrategyEntry, isSearchTime: boolean): boolean {
  const mayMap = kind === null || kind === 'mapper'
  const isSilent = absence === undefined || absence.code === 'NO_REPLY'
  return isSearchTime && mayMap && abilities.size === 0 && isSilent
}
