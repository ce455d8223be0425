import type { Clock } from './contract.js'

/** The longest delay that `setTimeout` supports, about 24 days. */
const maxTimeoutMs = 2 ** 31 - 1

type Timer = ReturnType<typeof setTimeout>

/** The functions with which a clock sets and clears its timers, shaped like `setTimeout` and `clearTimeout`. */
export interface Timers {
  /** Starts a timer that calls `fire` after `ms` milliseconds. */
  set(fire: () => void, ms: number): Timer
  /** Cancels a timer. */
  clear(timer: Timer | undefined): void
}

/** Creates a system clock that uses the given timers, for a program that keeps a list of its timers. */
export const clockWith = ({ set, clear }: Timers): Clock => ({
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep(ms, { signal }) {
    return new Promise((resolve, reject) => {
      let timer: Timer | undefined
      const aborted = (): void => {
        clear(timer)
        reject(signal.reason)
      }
      const wait = (left: number): void => {
        const now = Math.min(left, maxTimeoutMs)
        timer = set(() => {
          if (left > now) return wait(left - now)
          signal.removeEventListener('abort', aborted)
          resolve()
        }, now)
      }
      if (signal.aborted) return aborted()
      signal.addEventListener('abort', aborted, { once: true })
      wait(Math.max(0, ms))
    })
  }
})

/** The system clock. */
export const systemClock: Clock = clockWith({
  set: (fire, ms) => setTimeout(fire, ms),
  clear: (timer) => clearTimeout(timer)
})
