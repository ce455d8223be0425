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
    return await orAborted(run({ signal: cut.signal }), cut.signal)
  } finally {
    signal.removeEventListener('abort', follow)
    done.abort(over)
  }
}

/** Made once: an abort without a reason makes a new error with its stack. */
const over = new Error('it was over in time')

/** What the promise gives, or a rejection with the signal's reason as soon as it aborts. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
