import type { CallOptions, Clock } from '@postern/interface'

/** The time limits of undoing. */
export interface UndoTime {
  /** The limit for the answer to the original request, in ms: the answer tells what to undo. */
  readonly answerMs: number
  /** The limit for everything, in ms. */
  readonly undoMs: number
}

/** The limits after an abort: the contract allows 500 ms. */
export const abortedTime: UndoTime = { answerMs: 200, undoMs: 450 }

/** A request that changes the state of the router, and that can be undone. */
export interface Change<T> {
  /** Settles with the answer. */
  readonly answer: Promise<T>
  /** Aborts the wait for the answer. */
  readonly stop: AbortController
}

/** Starts a change. Its answer can still be awaited after the caller's signal has aborted. */
export function startChange<T>(ask: (call: CallOptions) => Promise<T>): Change<T> {
  const stop = new AbortController()
  const answer = ask({ signal: stop.signal })
  // It may be rejected when no call awaits it any more; that must not count as an unhandled rejection.
  answer.catch(() => undefined)
  return { answer, stop }
}

/** Undoes changes within the time limits. Calls `revert` for each one, with its answer if that came in time. Resolves
 * to whether all changes were undone. */
export async function undoChanges<T, C extends Change<T>>(
  clock: Clock,
  changes: readonly (C & Change<T>)[],
  { answerMs, undoMs }: UndoTime,
  revert: (change: C, answer: T | undefined, call: CallOptions) => Promise<void>
): Promise<boolean> {
  if (changes.length === 0) return true
  const ended = new AbortController()
  const { signal } = ended
  const waiting = clock.sleep(answerMs, { signal }).then(
    () => changes.forEach(({ stop }) => stop.abort()),
    () => undefined
  )
  const undoing = async (): Promise<boolean> => {
    for (const change of changes) {
      const answer = await change.answer.catch(() => undefined)
      await revert(change, answer, { signal })
    }
    return true
  }
  const limit = clock.sleep(undoMs, { signal }).then(() => false)
  const isUndone = await Promise.race([undoing(), limit]).catch(() => false)
  ended.abort()
  for (const { stop } of changes) stop.abort()
  await waiting
  return isUndone
}
