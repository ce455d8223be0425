import { line, type Output } from './output.js'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** What a shell reports of a process that a signal ended. */
const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const
/** npm and shells pass on what the terminal has sent to the process already: two within this time, in ms, are one. */
const sameMs = 300

export interface Interrupt {
  readonly signal: AbortSignal
  done(): void
}

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP. A second SIGINT or SIGTERM ends the process at once, after saying what is
 * left behind; a second SIGHUP does not, since a terminal that closes may send several.
 */
export function untilInterrupted(err: Output['err']): Interrupt {
  const interrupted = new AbortController()
  let sinceMs = 0
  const stop = (name: (typeof signals)[number]): void => {
    const nowMs = performance.now()
    if (!interrupted.signal.aborted) {
      sinceMs = nowMs
      interrupted.abort()
    } else if (name !== 'SIGHUP' && nowMs - sinceMs > sameMs) {
      line(err, '! ended before everything was released: a mapping that is left stays until its lifetime is over')
      process.exit(codes[name])
    }
  }
  for (const name of signals) process.on(name, stop)
  return {
    signal: interrupted.signal,
    done: () => {
      for (const name of signals) process.off(name, stop)
    }
  }
}
