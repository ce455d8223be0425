const signals = ['SIGINT', 'SIGTERM'] as const

/**
 * Has something closed when the process is told to end, and then lets it end as it would have. Where the program handles
 * the signal itself, ending is left to it.
 */
export function closeOnSignals(close: () => Promise<void>, until: AbortSignal): void {
  const stop = (): void => {
    for (const name of signals) process.off(name, take)
  }
  const take = (name: NodeJS.Signals): void => {
    stop()
    const alone = process.listenerCount(name) === 0
    void close().finally(() => {
      if (alone) process.kill(process.pid, name)
    })
  }
  for (const name of signals) process.on(name, take)
  until.addEventListener('abort', stop, { once: true })
}
