import type { Clock } from './contract.js'

/** The longest that `setTimeout` can wait, about 24 days. */
const longestTimeoutMs = 2 ** 31 - 1

/** The clock of the machine. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  sleep(ms, { signal }) {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined
      const aborted = (): void => {
        clearTimeout(timer)
        reject(signal.reason)
      }
      const wait = (left: number): void => {
        const now = Math.min(left, longestTimeoutMs)
        timer = setTimeout(() => {
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
}
