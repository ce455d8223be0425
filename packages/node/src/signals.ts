/** SIGHUP: the terminal was closed. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Has something closed when the process is told to end, or ends by itself, and then lets it end as it would have. Where the program handles
 * the signal itself, ending is left to it.
 */
export function closeOnSignals(close: () => Promise<void>, until: AbortSignal): void {
  let taken: NodeJS.Signals | undefined
  const stop = (): void => {
    for (const name of signals) process.off(name, take)
    process.off('beforeExit', atEnd)
  }
  const end = (): void => {
    stop()
    // Who listens now is the program itself: libraries that guard a file while they write it have let go.
    if (taken !== undefined && process.listenerCount(taken) === 0) process.kill(process.pid, taken)
  }
  // It goes on listening until all is closed: else a guard of that kind would take itself for the last one, and end the
  // process before anything is released.
  const take = (name: NodeJS.Signals): void => {
    const again = taken !== undefined
    taken ??= name
    if (!again) close().then(end, end)
  }
  // The process has nothing left to do, and does not wait for this: it ends by itself, a moment later.
  const atEnd = (): void => void close().then(stop, stop)
  for (const name of signals) process.on(name, take)
  process.on('beforeExit', atEnd)
  until.addEventListener(
    'abort',
    () => {
      if (taken === undefined) stop()
    },
    { once: true }
  )
}
