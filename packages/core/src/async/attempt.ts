import {
  abortReason,
  type CallOptions,
  type Clock,
  errorText,
  isNatError,
  type NatError,
  natError
} from '@postern/interface'

/** The contract allows 500 ms to undo an aborted request; a busy machine gets as much again (ms). */
export const graceMs = 1000

const settled = abortReason('the attempt is over')

/**
 * Runs one call of an ability with a time limit. Settles even if the ability never does.
 *
 * Rejects with a NatError (`ATTEMPT_TIMEOUT` when the time is up, `STRATEGY_FAULT` for an error that is no NatError),
 * or with the signal's reason. A result that comes too late goes to `late`.
 */
export function attempt<T>(
  task: (call: CallOptions) => Promise<T>,
  timeoutMs: number,
  clock: Clock,
  { signal }: CallOptions,
  late: (result: T) => void = () => undefined
): Promise<T> {
  // Uses callbacks instead of Promise.race, so that a result and a timeout in the same tick cannot both win.
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const controller = new AbortController()
    const over = new AbortController()
    let open = true
    const close = (): void => {
      open = false
      signal.removeEventListener('abort', stop)
      over.abort(settled)
    }
    const fail = (error: unknown): void => {
      if (!open) return
      close()
      reject(signal.aborted ? signal.reason : asNatError(controller.signal.aborted ? controller.signal.reason : error))
    }
    const interrupt = (reason: unknown): void => {
      if (!open || controller.signal.aborted) return
      controller.abort(reason)
      clock.sleep(graceMs, over).then(() => fail(reason), ignore)
    }
    const stop = (): void => interrupt(signal.reason)

    signal.addEventListener('abort', stop)
    clock
      .sleep(timeoutMs, over)
      .then(() => interrupt(natError('ATTEMPT_TIMEOUT', `no outcome within ${timeoutMs} ms`)), ignore)
    const take = (result: T): void => {
      if (!open) return late(result)
      close()
      resolve(result)
    }
    start(task, controller).then(take, fail)
  })
}

/** Calls the function, and turns a synchronous throw into a rejection. */
async function start<T>(task: (call: CallOptions) => Promise<T>, call: CallOptions): Promise<T> {
  return task({ signal: call.signal })
}

const ignore = (): void => undefined

/** Returns the error if it is a NatError, and a `STRATEGY_FAULT` with it as the cause otherwise. */
export function asNatError(error: unknown): NatError {
  if (isNatError(error)) return error
  return natError('STRATEGY_FAULT', `the strategy failed: ${errorText(error)}`, { cause: error })
}
