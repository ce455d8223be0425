import { line, type Output } from './output.js'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** The exit codes that a shell reports for a process that was ended by a signal. */
const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const
/** The time within which two signals count as one, in ms: npm and shells forward a signal that the terminal has already
 * sent. */
const sameMs = 300

/** A listener for the signals that end a command. */
export interface Interrupt {
  /** Aborts at the first signal. */
  readonly signal: AbortSignal
  /** Removes the listener. */
  done(): void
}

/**
 * Returns a signal that aborts at the first SIGINT, SIGTERM or SIGHUP. A second SIGINT or SIGTERM ends the process at
 * once, after a message about what stays mapped. A second SIGHUP does not, because a terminal that closes may send
 * several.
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
