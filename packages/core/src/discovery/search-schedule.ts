import { abortReason, type CallOptions, type Clock, type Family, hasNextHop, type Network } from '@postern/interface'
import type { Policy } from '../model/policy.js'
import type { Discoveries } from './discoveries.js'
import { createSearchPace } from './search-interval.js'
import type { SearchProgress } from './search-progress.js'

/** Decides when the strategies search the network, and starts each search. */
export interface SearchSchedule {
  /** Starts discovery on the current network. Findings of the old network no longer count. */
  search(): void
  /** Searches after a change of the network in these families, not at each change of a network that flaps. A network
   * that has just come up is searched soon. */
  networkChanged(before: Network, changed: readonly Family[]): void
  /** Ends the search that runs, and the one that is scheduled. */
  abort(reason: Error): void
}

export interface SearchScheduleParts {
  readonly clock: Clock
  readonly policy: Policy
  readonly network: () => Network
  readonly discoveries: Discoveries
  readonly progress: SearchProgress
  /** Runs work in the background. */
  readonly track: (work: Promise<unknown>) => void
  /** Called when a search begins. */
  readonly began: () => void
  /** Called when better-ranked strategies have had their time: others may be used now. */
  readonly advanced: () => void
}

const replaced = abortReason('the network has changed')

export function createSearchSchedule(parts: SearchScheduleParts): SearchSchedule {
  const { clock, policy, network, discoveries, progress, track, began, advanced } = parts
  const pace = createSearchPace(clock, policy)
  let current = new AbortController()
  /** The scheduled search. Its timer is aborted when the search begins or an earlier one replaces it. */
  let due: { readonly atMs: number; readonly controller: AbortController } | undefined

  function later(ms: number, call: CallOptions, then: () => void): void {
    track(clock.sleep(ms, call).then(then, () => undefined))
  }

  function search(): void {
    due?.controller.abort(replaced)
    due = undefined
    pace.searched()
    current.abort(replaced)
    current = new AbortController()
    progress.began()
    began()
    track(discoveries.search(network(), current.signal))
    for (const afterMs of [policy.preferenceWindowMs, policy.firstPassMs, policy.unverifiedAfterMs, policy.searchMs])
      later(afterMs, current, advanced)
  }

  return {
    search,
    networkChanged(before, changed) {
      const waitMs = pace.changed(changed, !before.gateways.some(hasNextHop))
      if (waitMs <= 0) return search()
      const atMs = clock.monotonicMs() + waitMs
      if (due !== undefined && due.atMs <= atMs) return
      due?.controller.abort(replaced)
      const controller = new AbortController()
      due = { atMs, controller }
      later(waitMs, controller, search)
    },
    abort(reason) {
      current.abort(reason)
      due?.controller.abort(reason)
    }
  }
}
