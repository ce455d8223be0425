import { abortReason, type CallOptions, type Clock } from '@postern/interface'

/** Looks a few times after each event. A later event begins these looks again. */
export interface Looks {
  begin(): void
  /** Ends the looks for good. Idempotent. */
  end(): void
}

/** @param momentsMs - when to look, in ms after an event */
export function createLooks(clock: Clock, momentsMs: readonly number[], look: () => void): Looks {
  let current = new AbortController()
  let hasEnded = false

  async function lookEach(call: CallOptions): Promise<void> {
    let at = 0
    for (const ms of momentsMs) {
      await clock.sleep(ms - at, call)
      at = ms
      look()
    }
  }

  return {
    begin() {
      current.abort(over)
      if (hasEnded) return
      current = new AbortController()
      void lookEach(current).catch(() => undefined)
    },
    end() {
      hasEnded = true
      current.abort(over)
    }
  }
}

const over = abortReason('a later event is looked at, or the command ends')
