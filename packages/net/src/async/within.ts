import type { CallOptions, Clock } from '@postern/interface'

/**
 * Calls `run` with a time limit of `ms` by the clock, and settles with its result. The signal that `run` gets aborts
 * with the caller's signal, or with the error of `late` when the time is over. Rejects immediately with that reason,
 * even if `run` still runs.
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  { signal }: CallOptions,
  late: () => Error,
  run: (call: CallOptions) => Promise<T>
): Promise<T> {
  signal.throwIfAborted()
  const cut = new AbortController()
  const done = new AbortController()
  const follow = (): void => cut.abort(signal.reason)
  signal.addEventListener('abort', follow, { once: true })
  clock.sleep(ms, { signal: done.signal }).then(
    () => cut.abort(late()),
    () => undefined
  )
  try {
    return await orAborted(run({ signal: cut.signal }), cut)
  } finally {
    signal.removeEventListener('abort', follow)
    done.abort(over)
  }
}

/** Created once: an abort without a reason creates a new error with a stack trace. */
const over = new Error('it was over in time')

/** Settles with the promise, or rejects with the signal's reason as soon as it aborts. */
export function orAborted<T>(promise: Promise<T>, { signal }: CallOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    const clear = (): void => signal.removeEventListener('abort', aborted)
    promise.then(resolve, reject).finally(clear)
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
  })
}
