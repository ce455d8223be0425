import type { Clock, Family } from '@postern/interface'
import { backOffMs, type Policy } from '../model/policy.js'

/** Decides how soon to search after a change of the network. */
export interface SearchPace {
  /** Records a change and returns the delay before the search, in ms. */
  changed(families: readonly Family[], isUpAgain: boolean): number
  /** Records the start of a search, which covers all changes so far. */
  searched(): void
}

interface FamilyPace {
  /** How many searches changes of this family have caused since it was last calm. */
  count: number
  changedMs: number
}

/** How often in a row a network that comes up again is searched at once, before the delays grow. */
const maxPrompt = 4

/**
 * Delays between searches double while one family keeps changing, because any neighbour can forge router
 * advertisements that change the IPv6 routes endlessly. A change of the other family is not delayed by that. A
 * family that has not changed for the maximum delay is calm: its next change is searched for after the minimum
 * delay.
 */
export function createSearchPace(clock: Clock, policy: Pick<Policy, 'debounceMs' | 'recovery'>): SearchPace {
  const distance = { initialMs: policy.debounceMs, maxMs: policy.recovery.maxMs }
  const families = new Map<Family, FamilyPace>()
  const pending = new Set<FamilyPace>()
  let searchedMs = Number.NEGATIVE_INFINITY

  function noted(family: Family): FamilyPace {
    const now = clock.monotonicMs()
    const pace = families.get(family) ?? { count: 0, changedMs: now }
    families.set(family, pace)
    if (now - pace.changedMs > distance.maxMs) pace.count = 0
    pace.changedMs = now
    pending.add(pace)
    return pace
  }

  return {
    changed(changed, isUpAgain) {
      const count = Math.min(...changed.map((family) => noted(family).count))
      if (isUpAgain && count < maxPrompt) return 0
      const waitMs = searchedMs + backOffMs(distance, count + 1) - clock.monotonicMs()
      // There was no route before, so the host is waiting for a working network: bound the delay.
      return isUpAgain ? Math.min(waitMs, policy.recovery.initialMs) : waitMs
    },
    searched() {
      for (const pace of pending) pace.count += 1
      pending.clear()
      searchedMs = clock.monotonicMs()
    }
  }
}
