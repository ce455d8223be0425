import type { Writable } from 'node:stream'
import { printable, systemClock, waitAtMost } from '@postern/interface'
import { writeAbove } from './live-line.js'
import { colorsFor } from './terminal.js'
import { columnsOf, wrapLines } from './wrap-lines.js'

/** The streams of a command: results go to `out`, remarks to `err`. */
export interface Output {
  readonly out: Writable & { readonly isTTY?: boolean }
  readonly err: Writable & { readonly isTTY?: boolean }
}

/** An error that the user can resolve; the message says how. The program ends with exit code 1. */
export class Failure extends Error {
  override readonly name = 'Failure'
}

/** How many bytes are kept for a reader that does not read. Further lines are dropped, so that memory does not fill. */
const maxUnreadBytes = 1024 * 1024

/** Writes lines of text. Text from the network was made printable on arrival; here everything is made harmless for a
 * terminal once more. JSON keeps its meaning, because the escapes are those of JSON. */
export const line = (stream: Output['out'], text = ''): void => {
  // The reader is gone, or has stopped reading: see `outliveReaders`.
  if (stream.destroyed || stream.writableLength > maxUnreadBytes) return
  // A JSON object must stay one line.
  const lines = text.startsWith('{') ? text : wrapLines(text, columnsOf(stream))
  writeAbove(stream, `${harmless(lines, colorsFor(stream).isColorSupported)}\n`)
}

/** Matches exactly the colour codes of {@link colorsFor}. */
const ownColors = new RegExp(`(${String.fromCharCode(27)}\\[(?:1|2|22|3[1-69])m|\n)`)

/** Escapes every unprintable character of a text, except line feeds and, if `isColored`, the colour codes of this
 * program. */
export const harmless = (text: string, isColored: boolean): string =>
  text
    .split(ownColors)
    .map((part, index) =>
      index % 2 === 1 && (isColored || part === '\n') ? part : printable(part, Number.POSITIVE_INFINITY)
    )
    .join('')

/** The outcome of writing the results. */
export interface Results {
  /** Returns why the results could not be written; undefined if they were, or if the reader closed the stream. */
  readonly failure: () => string | undefined
}

/**
 * Handles the errors of the output streams: a reader that went away (EPIPE), a terminal that was closed (EIO), a full
 * disk (ENOSPC). Later output is lost, and a long-running command continues, because the mapping must outlive the
 * reader.
 *
 * A reader that does not read (a stopped pager, a terminal after Ctrl-S) must not block the process either. Node.js
 * writes to pipes and terminals synchronously, so nothing would be renewed and no signal handled.
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

/** Makes writes asynchronous with an undocumented function of Node.js. Does nothing if it does not exist. */
function writeInBackground(stream: Writable): void {
  const handle: unknown = '_handle' in stream ? stream._handle : undefined
  if (typeof handle !== 'object' || handle === null || !('setBlocking' in handle)) return
  if (typeof handle.setBlocking === 'function') handle.setBlocking(false)
}

/** How long the program waits at its end for readers, in ms: a reader that has stopped must not keep it alive. */
const lastWordsMs = 1000

/** Resolves when everything is written, and after one second at the latest. */
export async function saidAll({ out, err }: Output): Promise<void> {
  const written = (stream: Writable): Promise<void> =>
    new Promise((resolve) => {
      if (stream.destroyed) resolve()
      else stream.write('', () => resolve())
    })
  await waitAtMost(systemClock, lastWordsMs, Promise.all([out, err].map(written)), undefined)
}

/** Returns a handler for `catch` that returns undefined after an abort, and rethrows other errors. */
export const unlessAborted =
  (signal: AbortSignal) =>
  (error: unknown): undefined => {
    if (!signal.aborted) throw error
  }
