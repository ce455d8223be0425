import type { CallOptions } from '@postern/interface'

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
