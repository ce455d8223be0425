import type { CallOptions } from '../contract.js'

/**
 * Creates the reason for an `abort()` of a module. Call it once, at the top level of the module: `abort()` without a
 * reason creates an error with a stack trace each time, which is slow with thousands of timers.
 */
export const abortReason = (text: string): Error => new Error(text)

/** Resolves when the signal aborts; immediately if it has aborted already. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Settles with the promise, or rejects with the signal's reason as soon as it aborts. A rejection of the promise after
 * that is handled. */
export function orAborted<T>(promise: Promise<T>, { signal }: CallOptions): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason)
    const clear = (): void => signal.removeEventListener('abort', aborted)
    promise.then(resolve, reject).finally(clear)
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
  })
}
