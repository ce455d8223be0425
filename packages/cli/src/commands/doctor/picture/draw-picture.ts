import type { Picture } from '@postern/status'
import type { Colors } from '../../../shared/terminal.js'
import { downwards, listed } from './downwards.js'
import { wrapTo } from './fit-text.js'
import { type Pen, penFor } from './glyphs.js'
import { sideways } from './sideways.js'

/** The options of {@link drawPicture}. */
export interface DrawOptions {
  /** The width of the terminal; undefined for a pipe or a file. */
  readonly columns: number | undefined
  /** Whether to draw with box-drawing characters, otherwise with ASCII. */
  readonly isUnicode: boolean
  readonly colors: Colors
}

/** The maximum width of a picture, and its width in a pipe or a file, in columns. */
const maxColumns = 80
/** The minimum width, in columns; a narrower terminal wraps. */
const minColumns = 8
/** The number of columns below which the places are listed instead. */
const minPictureColumns = 40

/** Draws the way in with characters: from left to right where the places fit, otherwise from top to bottom, and as a list in
 * less than 40 columns. Below it are the broken spot and the way around, in words. No line is wider than `columns` or 80. */
export function drawPicture(picture: Picture, { columns = maxColumns, isUnicode, colors }: DrawOptions): string {
  const pen = penFor(isUnicode, colors)
  // A terminal that does not know its size reports 0 columns.
  const width = columns < 1 ? maxColumns : Math.max(minColumns, Math.min(columns, maxColumns))
  const drawn =
    width < minPictureColumns
      ? listed(picture, width, pen)
      : (sideways(picture, width, pen) ?? downwards(picture, width, pen))
  const words = remarks(picture, width, pen)
  return [...drawn, ...(words.length === 0 ? [] : ['', ...words])].map((each) => each.trimEnd()).join('\n')
}

/** Returns in words where connections stop, and through which host they come in instead. */
function remarks({ broken, detour }: Picture, width: number, { glyphs, paint, write }: Pen): readonly string[] {
  const lines: string[] = []
  const add = (text: string, paintFirst: (line: string) => string): void => {
    const [first = '', ...rest] = wrapTo(write(text), Math.max(1, width - 2), glyphs.cut)
    lines.push(paintFirst(first), ...rest.map((each) => `  ${each}`))
  }
  if (broken !== null) add(`${broken.where}. ${broken.text}`, (line) => `${paint.broken(glyphs.signs.broken)} ${line}`)
  if (detour !== null) add(`${detour}.`, (line) => `${paint.ok(glyphs.detour[1])} ${line}`)
  return lines
}
