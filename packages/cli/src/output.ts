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
  stream.write(`${text}\n`)
}

/** Aborts at the first SIGINT or SIGTERM. A second one ends the process at once. */
export function untilInterrupted(): { readonly signal: AbortSignal; readonly done: () => void } {
  const interrupted = new AbortController()
  const names = ['SIGINT', 'SIGTERM'] as const
  const stop = (name: NodeJS.Signals): void => {
    if (interrupted.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143)
    interrupted.abort()
  }
  for (const name of names) process.on(name, stop)
  return {
    signal: interrupted.signal,
    done: () => {
      for (const name of names) process.off(name, stop)
    }
  }
}
