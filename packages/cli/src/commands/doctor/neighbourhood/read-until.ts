import { anySignal, type CallOptions, type Clock, waitAtMost } from '@postern/interface'

/**
 * Runs a function that reports its results as they come, until it ends, calls `enough`, or the time limit is over. Never rejects:
 * what was reported until then counts.
 */
export async function readUntil(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
  read: (call: CallOptions, enough: () => void) => Promise<unknown>
): Promise<void> {
  const over = new AbortController()
  const enough = (): void => over.abort()
  const reading = read({ signal: anySignal([signal, over.signal]) }, enough).then(
    () => undefined,
    () => undefined
  )
  await waitAtMost(clock, limitMs, reading, undefined, { signal })
  over.abort()
}
