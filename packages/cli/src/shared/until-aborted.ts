import { natError } from '@postern/interface'

/** Resolves when the signal aborts. */
export const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** Returns the error for a timeout. */
export const late = (): Error => natError('NO_REPLY', 'no answer in time')
