import type { Clock } from './contract.js'

/** The longest that `setTimeout` can wait, about 24 days. */
const longestTimeoutMs = 2 ** 31 - 1

type Timer = ReturnType<typeof setTimeout>

/** How a clock of the machine has its timers made and cleared. */
export interface Timers {
  set(fire: () => void, ms: number): Timer
  clear(timer: Timer | undefined): void
}

/** Makes a clock of the machine whose timers are made elsewhere, for a program that keeps a list of them. */
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
        const now = Math.min(left, longestTimeoutMs)
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

/** The clock of the machine. */
export const systemClock: Clock = clockWith({
  set: (fire, ms) => setTimeout(fire, ms),
  clear: (timer) => clearTimeout(timer)
})
