import { type CallOptions, type Clock, isNatError, type NatError, natError } from '@postern/interface'

/** The contract's bound on undoing an aborted request, and as much again for a busy machine. */
const graceMs = 1000

/** Made once: an abort without a reason makes a new error with its stack. */
const settled = new Error('the attempt is over')

/**
 * Runs one verb of an ability within a bound. Whatever the ability does, this returns.
 *
 * Rejects with a NatError (`ATTEMPT_TIMEOUT` when the time is up, `STRATEGY_FAULT` for anything that is none), or the
 * signal's reason. A result that comes when nobody waits for it any more goes to `late`.
 */
export async function attempt<T>(
  verb: (call: CallOptions) => Promise<T>,
  timeoutMs: number,
  clock: Clock,
  { signal }: CallOptions,
  late: (result: T) => void = () => undefined
): Promise<T> {
  signal.throwIfAborted()
  const cut = new AbortController()
  const over = new AbortController()
  const stop = (): void => cut.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  let given = false

  const work = (async () => verb({ signal: cut.signal }))()
  work.then(
    (result) => {
      if (given) late(result)
    },
    () => undefined
  )
  const bound = async (): Promise<never> => {
    await clock.sleep(timeoutMs, { signal: AbortSignal.any([over.signal, cut.signal]) }).catch(() => undefined)
    if (!over.signal.aborted) {
      if (!cut.signal.aborted) cut.abort(natError('ATTEMPT_TIMEOUT', `no outcome within ${timeoutMs} ms`))
      await clock.sleep(graceMs, { signal: over.signal }).catch(() => undefined)
    }
    throw cut.signal.reason
  }
  try {
    return await Promise.race([work, bound()])
  } catch (error) {
    signal.throwIfAborted()
    throw asNatError(cut.signal.aborted ? cut.signal.reason : error)
  } finally {
    given = true
    over.abort(settled)
    signal.removeEventListener('abort', stop)
  }
}

/** What an ability threw, as the contract wants it. */
export function asNatError(error: unknown): NatError {
  if (isNatError(error)) return error
  const text = error instanceof Error ? error.message : String(error)
  return natError('STRATEGY_FAULT', `the strategy failed: ${text}`, { cause: error })
}
