import type { CallOptions, Clock } from '@postern/interface'

/** The least time between two looks at what has changed, in ms. */
const spacingMs = 20
/** With thousands of endpoints a look takes a while. It may take one part in so many of the time. */
const share = 20

/** Runs a review soon after something changed, once for changes that come together. */
export interface Reviewer {
  soon(call: CallOptions): void
  /** Whether a summary differs from the one before. */
  isNews(summary: string): boolean
}

export function createReviewer(clock: Clock, review: () => void): Reviewer {
  let due = false
  let last = ''
  let waiting = false

  async function run(call: CallOptions): Promise<void> {
    while (due) {
      due = false
      // What happens in this turn of the event loop is one change.
      await Promise.resolve()
      if (call.signal.aborted) break
      const startedMs = clock.monotonicMs()
      review()
      await clock.sleep(Math.max(spacingMs, (clock.monotonicMs() - startedMs) * share), call).catch(() => undefined)
    }
    waiting = false
  }

  return {
    soon(call) {
      due = true
      if (waiting) return
      waiting = true
      void run(call)
    },
    isNews(summary) {
      const news = summary !== last
      last = summary
      return news
    }
  }
}
