import { systemHost } from '@postern/core'
import { anySignal, type CallOptions, waitAtMost } from '@postern/interface'

/**
 * Runs something that tells its results as they come, until it ends, has told enough, or the time limit is over. Never rejects:
 * what was told until then counts.
 */
export async function readUntil(
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
  await waitAtMost(systemHost.clock, limitMs, reading, undefined, { signal })
  over.abort()
}
