import { anySignal } from '../any-signal.js'
import type { CallOptions, Clock } from '../contract.js'
import { abortReason, orAborted } from './abort.js'

const over = abortReason('it was over in time')

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
  const controller = new AbortController()
  const done = new AbortController()
  const follow = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', follow, { once: true })
  clock.sleep(ms, { signal: done.signal }).then(
    () => controller.abort(late()),
    () => undefined
  )
  try {
    return await orAborted(run({ signal: controller.signal }), controller)
  } finally {
    signal.removeEventListener('abort', follow)
    done.abort(over)
  }
}

/**
 * Settles with `work`, or resolves to `otherwise` after `ms` by the clock, or when the signal aborts. The work is not
 * aborted, and goes on. Unlike {@link within}, a limit that is reached is a result here, and not an error.
 */
export async function waitAtMost<T, Otherwise>(
  clock: Clock,
  ms: number,
  work: Promise<T>,
  otherwise: Otherwise,
  call?: CallOptions
): Promise<T | Otherwise> {
  const done = new AbortController()
  const signal = call === undefined ? done.signal : anySignal([call.signal, done.signal])
  const limit = clock.sleep(ms, { signal }).then(
    () => otherwise,
    () => otherwise
  )
  try {
    return await Promise.race([work, limit])
  } finally {
    done.abort(over)
  }
}
