import type { Clock, Family } from '@postern/interface'
import { backOffMs, type Policy } from './policy.js'

/** Decides how soon a change of the network is searched for. */
export interface SearchPace {
  /** Notes a change, and returns how long to wait, in ms. */
  changed(families: readonly Family[], isUpAgain: boolean): number
  /** A search begins, and covers every change so far. */
  searched(): void
}

interface FamilyPace {
  /** How many searches the changes of this family have caused since it was last calm. */
  count: number
  changedMs: number
}

/** So many times a network that has come up again is searched at once, before the distance grows. */
const maxPrompt = 4

/**
 * Searches keep a distance that doubles while one family goes on changing: any neighbour can forge router advertisements that
 * change the IPv6 routes for ever. A change of the other family does not wait for that. A family is calm, and its next
 * change is searched for after the shortest distance, when it has not changed for the longest one.
 */
export function createSearchPace(clock: Clock, policy: Pick<Policy, 'coalesceMs' | 'recovery'>): SearchPace {
  const distance = { firstMs: policy.coalesceMs, mostMs: policy.recovery.mostMs }
  const families = new Map<Family, FamilyPace>()
  const pending = new Set<FamilyPace>()
  let searchedMs = Number.NEGATIVE_INFINITY

  function noted(family: Family): FamilyPace {
    const now = clock.monotonicMs()
    const pace = families.get(family) ?? { count: 0, changedMs: now }
    families.set(family, pace)
    if (now - pace.changedMs > distance.mostMs) pace.count = 0
    pace.changedMs = now
    pending.add(pace)
    return pace
  }

  return {
    changed(changed, isUpAgain) {
      const count = Math.min(...changed.map((family) => noted(family).count))
      if (isUpAgain && count < maxPrompt) return 0
      const waitMs = searchedMs + backOffMs(distance, count + 1) - clock.monotonicMs()
      // Without a route nothing was found: what it waits for here is a network that works.
      return isUpAgain ? Math.min(waitMs, policy.recovery.firstMs) : waitMs
    },
    searched() {
      for (const pace of pending) pace.count += 1
      pending.clear()
      searchedMs = clock.monotonicMs()
    }
  }
}
