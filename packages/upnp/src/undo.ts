import type { CallOptions, Clock } from '@postern/interface'

/** How long undoing may take. */
export interface UndoTime {
  /** For the answer to what was asked, in ms: it tells what there is to undo. */
  readonly answerMs: number
  /** For all of it, in ms. */
  readonly undoMs: number
}

/** The contract gives an aborted request 500 ms to be undone. */
export const abortedTime: UndoTime = { answerMs: 200, undoMs: 450 }

/** A request that changes something on the router, and what to do about it once nobody wants it. */
export interface Change<T> {
  readonly answer: Promise<T>
  /** Ends the waiting for the answer. */
  readonly stop: AbortController
}

/** Starts a change whose answer can still be waited for after the caller's signal has aborted. */
export function startChange<T>(ask: (call: CallOptions) => Promise<T>): Change<T> {
  const stop = new AbortController()
  const answer = ask({ signal: stop.signal })
  // It may be rejected when no call waits for it any more.
  answer.catch(() => undefined)
  return { answer, stop }
}

/** Undoes changes within a time. `revert` is told the answer, if there was one in time. Whether all of them were undone. */
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
