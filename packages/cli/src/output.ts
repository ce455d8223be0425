import type { Writable } from 'node:stream'
import { printable } from '@postern/interface'
import { colorsFor } from './terminal.js'
import { columnsOf, wrapLines } from './wrap-lines.js'

/** Where a command writes: results to `out`, remarks to `err`. */
export interface Output {
  readonly out: Writable & { readonly isTTY?: boolean }
  readonly err: Writable & { readonly isTTY?: boolean }
}

/** Something that the user can do something about: the message says what. The program ends with 1. */
export class Failure extends Error {
  override readonly name = 'Failure'
}

/** What is kept in memory for a reader that does not read. */
const maxUnreadBytes = 1024 * 1024

/** Writes lines of text. What quotes the network has been made printable where it came in; here, once more, everything
 * becomes harmless to a terminal. JSON keeps its meaning: what is escaped is escaped as JSON escapes it. */
export const line = (stream: Output['out'], text = ''): void => {
  // Its reader is gone, or has long stopped reading: see `outliveReaders`.
  if (stream.destroyed || stream.writableLength > maxUnreadBytes) return
  // A JSON object is one line, whatever shows it.
  const lines = text.startsWith('{') ? text : wrapLines(text, columnsOf(stream))
  stream.write(`${harmless(lines, colorsFor(stream).isColorSupported)}\n`)
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

/** What became of the results of this process. */
export interface Results {
  /** Why they could not be written, if that is not their reader's will. */
  readonly failure: () => string | undefined
}

/**
 * Handles the errors of the two streams of the process: a reader that went away (EPIPE), a terminal that was closed (EIO), a
 * full disk (ENOSPC). What is said after that is lost, and a long-running command goes on: the mapping must outlive its reader.
 *
 * A reader that is there and does not read (a stopped pager, a terminal after Ctrl-S) must not stop the process either: Node
 * writes to pipes and terminals synchronously, so that nothing would be renewed and no signal heard.
 */
export function outliveReaders({ out, err }: Output): Results {
  let failure: string | undefined
  for (const stream of [out, err]) writeInBackground(stream)
  out.on('error', (error) => {
    const code = 'code' in error ? String(error.code) : error.message
    if (code === 'EPIPE' || code === 'EIO') return
    failure ??= `the output cannot be written: ${code}`
    line(err, `! ${failure}`)
  })
  err.on('error', () => undefined)
  return { failure: () => failure }
}

/** Has no documented name in Node. Where it does not exist, writing stays as it is. */
function writeInBackground(stream: Writable): void {
  const handle: unknown = '_handle' in stream ? stream._handle : undefined
  if (typeof handle !== 'object' || handle === null || !('setBlocking' in handle)) return
  if (typeof handle.setBlocking === 'function') handle.setBlocking(false)
}

/** How long the end of a program waits for readers, in ms. */
const lastWordsMs = 1000

/** Resolves when everything has been written, or the readers have had a second for it. */
export async function saidAll({ out, err }: Output): Promise<void> {
  const written = (stream: Writable): Promise<void> =>
    new Promise((resolve) => {
      if (stream.destroyed) resolve()
      else stream.write('', () => resolve())
    })
  const { promise: late, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, lastWordsMs)
  await Promise.race([Promise.all([out, err].map(written)), late])
  clearTimeout(timer)
}

/** For `catch`: an interrupted search is undefined, and every other error is thrown again. */
export const unlessAborted =
  (signal: AbortSignal) =>
  (error: unknown): undefined => {
    if (!signal.aborted) throw error
  }
