import type { CallOptions } from '@postern/interface'

/** Waits for its turn, then does it. Rejects at once, without a turn, if it is aborted while it waits; an abort during the
 * turn is the turn's own matter. */
export type Queue = <T>(turn: () => Promise<T>, call: CallOptions) => Promise<T>

/** One at a time, in the order in which they came. */
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
