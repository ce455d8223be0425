import type { CallOptions, Clock } from '@postern/interface'

/** The pause after each question, in ms: however many announcements arrive, at most one question is sent in this
 * time. */
const spacingMs = 1000

/** Answers hints, which any host on the link can forge, with questions to the device that they seem to come from. */
export interface Hints {
  /** Takes a hint. Starts a question, or makes one follow the question that is running. */
  take(): void
  /** Resolves when no question is being asked. */
  settled(): Promise<void>
}

/**
 * Asks one question for each burst of hints: one at a time, with a pause after each, and at most one more waiting.
 * Stops when the signal aborts.
 *
 * If a question rejects, `failed` gets the error and no more questions are asked. A question that may fail in normal
 * operation must catch that itself.
 */
export function spacedHints(
  ask: () => Promise<unknown>,
  clock: Clock,
  { signal }: CallOptions,
  failed: (error: unknown) => void = () => undefined
): Hints {
  let running: Promise<void> | undefined
  let again = false
  let hasFailed = false
  const run = async (): Promise<void> => {
    try {
      while (again && !signal.aborted) {
        again = false
        await ask()
        // An abort ends the pause early, and the loop condition then ends the loop.
        await clock.sleep(spacingMs, { signal }).catch(() => undefined)
      }
    } catch (error) {
      hasFailed = true
      failed(error)
    } finally {
      running = undefined
    }
  }
  return {
    take() {
      if (hasFailed) return
      again = true
      running ??= run()
    },
    settled: async () => running
  }
}
