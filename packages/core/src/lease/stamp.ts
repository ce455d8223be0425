import type { Clock } from '@postern/interface'

/** One moment, by the clock that never goes back and by the one that runs on while the machine sleeps. */
export interface Stamp {
  readonly monotonicMs: number
  /** Unix ms. */
  readonly wallMs: number
}

/** Returns the present moment. */
export const stamp = (clock: Clock): Stamp => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() })

/** Returns the elapsed time by the clock that saw more of it. If the wall clock was set by hand, a lease is renewed too
 * early at worst. */
export const elapsedMs = (clock: Clock, since: Stamp): number =>
  Math.max(clock.monotonicMs() - since.monotonicMs, clock.wallMs() - since.wallMs)
