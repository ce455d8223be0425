import type { CallOptions, Clock } from '@postern/interface'

/** Waits for work of a store. Resolves when it is done, or when it takes too long. Rejects with the signal's reason. */
export type Patience = (work: Promise<void>, call: CallOptions) => Promise<void>

/** Made once: an abort without a reason makes a new error with its stack. */
const over = new Error('it is not waited for any more')

/**
 * A disk that is away must not keep a host unreachable: work that takes longer than `ms` is told to `complain`, and nothing
 * is waited for after that until it is done. The work must not reject.
 */
export function createPatience(ms: number, clock: Clock, complain: (error: unknown) => void): Patience {
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
    complain(new Error(`the store does not answer within ${ms} ms`))
    void work.then(() => (isSlow = false))
  }
}

/** Waits for work, but no longer than the signal lives. */
export function unlessAborted<T>(work: Promise<T>, { signal }: CallOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const aborted = (): void => reject(signal.reason)
    signal.addEventListener('abort', aborted)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
