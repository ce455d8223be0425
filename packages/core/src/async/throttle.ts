import type { CallOptions, Clock } from '@postern/interface'

/** Minimum time between two reviews (ms). */
const spacingMs = 20
/** Delay of the first review (ms). The code of a review is slow when it runs for the first time, so the first requests leave before
 * it, and it runs while their answers are awaited. */
const firstMs = 10
/** Extra delay per endpoint and candidate, so that reviews use at most about 5 % of the time with thousands of them
 * (ms). It is fixed and not measured, so that the same events have the same consequences on every machine. */
const perThingMs = 0.05

/** Runs a review soon after a change, once for changes that come together. */
export interface Throttle {
  soon(call: CallOptions): void
  /** Whether a summary differs from the last one. */
  isNews(summary: string): boolean
}

/** @param review - returns how many things it has looked at */
export function createThrottle(clock: Clock, review: () => number): Throttle {
  let due = false
  let last = ''
  let isFirst = true
  let running: AbortSignal | undefined

  async function run(call: CallOptions): Promise<void> {
    if (isFirst) await clock.sleep(firstMs, call).catch(() => undefined)
    isFirst = false
    while (due) {
      due = false
      // Changes in one turn of the event loop count as one.
      await Promise.resolve()
      if (call.signal.aborted) break
      const count = review()
      await clock.sleep(spacingMs + count * perThingMs, call).catch(() => undefined)
    }
    if (running === call.signal) running = undefined
  }

  return {
    soon(call) {
      due = true
      if (running === call.signal) return
      running = call.signal
      void run(call)
    },
    isNews(summary) {
      const news = summary !== last
      last = summary
      return news
    }
  }
}
