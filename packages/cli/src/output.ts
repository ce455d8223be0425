import type { Writable } from 'node:stream'

/** Where a command writes: results to `out`, remarks to `err`. */
export interface Output {
  readonly out: Writable & { readonly isTTY?: boolean }
  readonly err: Writable & { readonly isTTY?: boolean }
}

/** Something that the user can do something about: the message says what. The program ends with 1. */
export class Failure extends Error {
  override readonly name = 'Failure'
}

export const line = (stream: Writable, text = ''): void => {
  // Its reader is gone: see `outliveReaders`.
  if (stream.destroyed) return
  stream.write(`${text}\n`)
}

/** What became of the results of this process. */
export interface Results {
  /** Why they could not be written, if that is not their reader's will. */
  readonly failure: () => string | undefined
}

/**
 * Handles the errors of the two streams of the process: a reader that went away (EPIPE), a terminal that was closed (EIO), a
 * full disk (ENOSPC). What is said after that is lost, and a long-running command goes on: the mapping must outlive its reader.
 */
export function outliveReaders({ out, err }: Output): Results {
  let failure: string | undefined
  out.on('error', (error) => {
    const code = 'code' in error ? String(error.code) : error.message
    if (code === 'EPIPE' || code === 'EIO') return
    failure ??= `the output cannot be written: ${code}`
    line(err, `! ${failure}`)
  })
  err.on('error', () => undefined)
  return { failure: () => failure }
}

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

/** For `catch`: an interrupted search is undefined, and every other error is thrown again. */
export const unlessAborted =
  (signal: AbortSignal) =>
  (error: unknown): undefined => {
    if (!signal.aborted) throw error
  }
