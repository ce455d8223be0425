import type { CallOptions, Clock } from '@postern/interface'

/** Between two looks at what has changed, in ms: with thousands of endpoints each look takes a while. */
const spacingMs = 20

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
      review()
      await clock.sleep(spacingMs, call).catch(() => undefined)
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
