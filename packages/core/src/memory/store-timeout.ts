import type { CallOptions, Clock } from '@postern/interface'

/** Waits for an operation of a store. Resolves when it is done, or when it takes too long. Rejects with the signal's
 * reason. */
export type StoreTimeout = (work: Promise<void>, call: CallOptions) => Promise<void>

/** Created once, because abort() without a reason creates an error with a stack trace each time. */
const over = new Error('no longer waited for')

/**
 * Bounds the wait for a store, so that a missing disk does not keep a host unreachable. Work that takes longer than
 * `ms` is reported to `onError`; later work is not waited for until it is done. The work must not reject.
 */
export function createStoreTimeout(ms: number, clock: Clock, onError: (error: unknown) => void): StoreTimeout {
  let isSlow = false

  return async (work, call) => {
    if (isSlow) return
    const cut = new AbortController()
    const limit = clock.sleep(ms, cut).then(
      () => true,
      () => false
    )
    try {
      const isLate = await unlessAborted(Promise.race([work.then(() => false), limit]), call)
      if (!isLate || isSlow) return
    } finally {
      cut.abort(over)
    }
    isSlow = true
    onError(new Error(`the store does not answer within ${ms} ms`))
    void work.then(() => (isSlow = false))
  }
}

/** Waits for work, or rejects with the signal's reason. */
export function unlessAborted<T>(work: Promise<T>, { signal }: CallOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const aborted = (): void => reject(signal.reason)
    signal.addEventListener('abort', aborted)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
