import type { CallOptions } from '../contract.js'

/** Calls `turn` when all earlier turns have settled, and settles with its result. Rejects immediately with the signal's
 * reason, without calling `turn`, if the signal aborts while it waits. An abort during `turn` is for `turn` to
 * handle. */
export type Queue = <T>(turn: () => Promise<T>, call: CallOptions) => Promise<T>

/** Creates a queue that runs one turn at a time, in the order of the calls. */
export function createQueue(): Queue {
  let last: Promise<unknown> = Promise.resolve()
  return async <T>(turn: () => Promise<T>, { signal }: CallOptions): Promise<T> => {
    signal.throwIfAborted()
    const waiting = Promise.withResolvers<never>()
    const aborted = (): void => waiting.reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    const begin = (): Promise<T> => {
      signal.throwIfAborted()
      signal.removeEventListener('abort', aborted)
      return turn()
    }
    const done = last.then(begin)
    last = done.catch(() => undefined)
    return Promise.race([done, waiting.promise])
  }
}
