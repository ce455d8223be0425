import { abortReason, type CallOptions, type Clock, orAborted } from '@postern/interface'

/** Waits for an operation of a store. Resolves when it is done, or when it takes too long. Rejects with the signal's
 * reason. */
export type StoreTimeout = (work: Promise<void>, call: CallOptions) => Promise<void>

const over = abortReason('no longer waited for')

/**
 * Bounds the wait for a store, so that a missing disk does not keep a host unreachable. Work that takes longer than
 * `ms` is reported to `onError`; later work is not waited for until it is done. The work must not reject.
 */
export function createStoreTimeout(ms: number, clock: Clock, onError: (error: unknown) => void): StoreTimeout {
  let isSlow = false

  return async (work, call) => {
    if (isSlow) return
    const controller = new AbortController()
    const limit = clock.sleep(ms, controller).then(
      () => true,
      () => false
    )
    try {
      const isLate = await orAborted(Promise.race([work.then(() => false), limit]), call)
      if (!isLate || isSlow) return
    } finally {
      controller.abort(over)
    }
    isSlow = true
    onError(new Error(`the store does not answer within ${ms} ms`))
    void work.then(() => (isSlow = false))
  }
}
