import type { CallOptions, Clock } from '@postern/interface'

/** The contract gives an aborted request 500 ms to be undone. */
const undoMs = 450
/** Of these, so long for the answer to what was asked: it tells what there is to undo. */
const answerMs = 200

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
  // It may be rejected when nobody waits for it any more.
  answer.catch(() => undefined)
  return { answer, stop }
}

/** Undoes changes within the time that the contract allows. `revert` is told the answer, if there was one in time.
 * What cannot be undone in this time lapses by itself. */
export async function undoChanges<T, C extends Change<T>>(
  clock: Clock,
  changes: readonly (C & Change<T>)[],
  revert: (change: C, answer: T | undefined, call: CallOptions) => Promise<void>
): Promise<void> {
  if (changes.length === 0) return
  const ended = new AbortController()
  const { signal } = ended
  const waiting = clock.sleep(answerMs, { signal }).then(
    () => changes.forEach(({ stop }) => stop.abort()),
    () => undefined
  )
  const undoing = async (): Promise<void> => {
    for (const change of changes) {
      const answer = await change.answer.catch(() => undefined)
      await revert(change, answer, { signal })
    }
  }
  const limit = clock.sleep(undoMs, { signal })
  await Promise.race([undoing(), limit]).catch(() => undefined)
  ended.abort()
  for (const { stop } of changes) stop.abort()
  await waiting
}
