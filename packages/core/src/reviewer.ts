import type { CallOptions, Clock } from '@postern/interface'

/** The least time between two looks at what has changed, in ms; */
const spacingMs = 20
/** and so much more for each thing to look at: with thousands of endpoints a look takes a while, and may take a twentieth
 * of the time. Not measured, so that the same events have the same consequences on every machine. */
const perThingMs = 0.05

/** Runs a review soon after something changed, once for changes that come together. */
export interface Reviewer {
  soon(call: CallOptions): void
  /** Whether a summary differs from the one before. */
  isNews(summary: string): boolean
}

/** @param review - returns how many things it has looked at */
export function createReviewer(clock: Clock, review: () => number): Reviewer {
  let due = false
  let last = ''
  let running: AbortSignal | undefined

  async function run(call: CallOptions): Promise<void> {
    while (due) {
      due = false
      // What happens in this turn of the event loop is one change.
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
