import type { CallOptions, Clock } from '@postern/interface'

/** Announcements are answered with at most one question in this time, however many arrive. */
const spacingMs = 1000

/** Turns hints, which any host of the link can forge, into questions to the device that they claim to come from. */
export interface Hints {
  take(): void
  /** Resolves when no question is being asked. */
  settled(): Promise<void>
}

/**
 * Asks once per burst of hints: one question at a time, spaced, with at most one more waiting. Stops with the signal.
 *
 * `failed` gets what a question rejects with, and no question follows. A question that can fail in the ordinary course of
 * events must catch that itself.
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
        // An abort ends the pause early; the loop then ends by itself.
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

/** Resolves when the signal aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
