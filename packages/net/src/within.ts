import type { CallOptions, Clock } from '@postern/interface'

/**
 * Runs something that may take `ms` by the clock. The signal that it gets aborts with the caller's, or with what `late`
 * makes when the time is over; either is what the promise rejects with, at once, whatever still runs.
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

/** Made once: an abort without a reason makes a new error with its stack. */
const over = new Error('it was over in time')

/** What the promise gives, or the signal's reason as soon as it aborts. */
export function orAborted<T>(promise: Promise<T>, { signal }: CallOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    const clear = (): void => signal.removeEventListener('abort', aborted)
    promise.then(resolve, reject).finally(clear)
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
  })
}
