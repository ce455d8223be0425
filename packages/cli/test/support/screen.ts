import { Writable } from 'node:stream'

/** A terminal that shows what programs write to it, as far as this program moves the cursor. */
export interface Screen {
  readonly stream: Writable & { readonly isTTY: true; readonly columns: number }
  /** Returns the lines that it shows, without colours. */
  readonly lines: () => readonly string[]
  /** Returns everything that was written. */
  readonly written: () => string
}

const escape = String.fromCharCode(27)
const tokens = new RegExp(`${escape}\\[[\\d;?]*[A-Za-z]|\\r|\\n|[^\\r\\n${escape}]+`, 'g')

/** Returns the lines that a terminal shows after a text. Throws for a control sequence other than colours and `erase to the end of
 * the line`. */
export function shownLines(text: string): readonly string[] {
  const lines = ['']
  let column = 0
  for (const [token] of text.matchAll(tokens)) {
    const at = lines.length - 1
    const now = lines[at] ?? ''
    if (token === '\n') {
      lines.push('')
      column = 0
    } else if (token === '\r') column = 0
    else if (token === `${escape}[K`) lines[at] = now.slice(0, column)
    else if (!token.startsWith(escape)) {
      lines[at] = now.slice(0, column).padEnd(column) + token + now.slice(column + token.length)
      column += token.length
    } else if (!token.endsWith('m')) throw new Error(`not a colour: ${JSON.stringify(token)}`)
  }
  return lines
}

export function createScreen(columns = 80): Screen {
  let written = ''
  const stream = new Writable({
    write(chunk, _, done) {
      written += String(chunk)
      done()
    }
  })
  return {
    stream: Object.assign(stream, { isTTY: true as const, columns }),
    lines: () => shownLines(written),
    written: () => written
  }
}
