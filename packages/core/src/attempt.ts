import { type CallOptions, type Clock, errorText, isNatError, type NatError, natError } from '@postern/interface'

/** The contract's bound on undoing an aborted request, and as much again for a busy machine. */
export const graceMs = 1000

/** Made once: an abort without a reason makes a new error with its stack. */
const settled = new Error('the attempt is over')

/**
 * Runs one verb of an ability within a bound. Whatever the ability does, this returns.
 *
 * Rejects with a NatError (`ATTEMPT_TIMEOUT` when the time is up, `STRATEGY_FAULT` for anything that is none), or the
 * signal's reason. A result that comes when no call waits for it any more goes to `late`.
 */
export function attempt<T>(
  verb: (call: CallOptions) => Promise<T>,
  timeoutMs: number,
  clock: Clock,
  { signal }: CallOptions,
  late: (result: T) => void = () => undefined
): Promise<T> {
  // Callbacks and no races: of an outcome and a bound at the same moment one wins, and the other one knows.
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const cut = new AbortController()
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
      reject(signal.aborted ? signal.reason : asNatError(cut.signal.aborted ? cut.signal.reason : error))
    }
    const interrupt = (reason: unknown): void => {
      if (!open || cut.signal.aborted) return
      cut.abort(reason)
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
    start(verb, cut).then(take, fail)
  })
}

/** Calls a verb. One that throws before it returns a promise has rejected. */
async function start<T>(verb: (call: CallOptions) => Promise<T>, call: CallOptions): Promise<T> {
  return verb({ signal: call.signal })
}

const ignore = (): void => undefined

/** What an ability threw, as the contract wants it. */
export function asNatError(error: unknown): NatError {
  if (isNatError(error)) return error
  return natError('STRATEGY_FAULT', `the strategy failed: ${errorText(error)}`, { cause: error })
}
