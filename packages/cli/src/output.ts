import type { Writable } from 'node:stream'
import { printable } from '@postern/interface'
import { colorsFor } from './terminal.js'

/** Where a command writes: results to `out`, remarks to `err`. */
export interface Output {
  readonly out: Writable & { readonly isTTY?: boolean }
  readonly err: Writable & { readonly isTTY?: boolean }
}

/** Something that the user can do something about: the message says what. The program ends with 1. */
export class Failure extends Error {
  override readonly name = 'Failure'
}

/** Writes lines of text. What quotes the network has been made printable where it came in; here, once more, everything
 * becomes harmless to a terminal. JSON keeps its meaning: what is escaped is escaped as JSON escapes it. */
export const line = (stream: Output['out'], text = ''): void => {
  stream.write(`${harmless(text, colorsFor(stream).isColorSupported)}\n`)
}

/** Exactly those that {@link colorsFor} makes. */
const ownColors = new RegExp(`(${String.fromCharCode(27)}\\[(?:1|2|22|3[1-69])m|\n)`)

/** Text with every character escaped that is not printable, but line feeds and, where they are wanted, own colours. */
export const harmless = (text: string, isColored: boolean): string =>
  text
    .split(ownColors)
    .map((part, index) =>
      index % 2 === 1 && (isColored || part === '\n') ? part : printable(part, Number.POSITIVE_INFINITY)
    )
    .join('')

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
