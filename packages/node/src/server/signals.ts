/** The signals that end a process. SIGHUP: the terminal was closed. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Calls `close` when the process gets a signal to end, or ends by itself, and then lets it end in the same way. If the
 * program has its own listener for the signal, it must end the process itself.
 */
export function closeOnSignals(close: () => Promise<void>, until: AbortSignal): void {
  let taken: NodeJS.Signals | undefined
  const stop = (): void => {
    for (const name of signals) process.off(name, take)
    process.off('beforeExit', atEnd)
  }
  const end = (): void => {
    stop()
    // Any remaining signal listener belongs to the application; file-locking libraries have removed theirs.
    if (taken !== undefined && process.listenerCount(taken) === 0) process.kill(process.pid, taken)
  }
  // Keep listening until `close` has settled. Otherwise a file-locking library would find itself to be the last
  // listener, and end the process before the mappings are released.
  const take = (name: NodeJS.Signals): void => {
    const again = taken !== undefined
    taken ??= name
    if (!again) close().then(end, end)
  }
  // The process has nothing else to do. It ends by itself when `close` has settled.
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
