import stringWidth from 'string-width'

/** Returns the number of columns that a text takes in a terminal: two for a character of East Asian scripts, for example. */
export const widthOf = (text: string): number => stringWidth(text)

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

/** Cuts a text to a number of columns, between characters. A text that was cut ends with `end`. */
export function cut(text: string, columns: number, end: string): string {
  if (widthOf(text) <= columns) return text
  const room = columns - widthOf(end)
  if (room <= 0) return end.slice(0, Math.max(0, columns))
  let kept = ''
  let width = 0
  for (const { segment } of graphemes.segment(text)) {
    width += widthOf(segment)
    if (width > room) break
    kept += segment
  }
  return `${kept.trimEnd()}${end}`
}

/** Fills a text with spaces up to a number of columns. */
export const pad = (text: string, columns: number): string => text + ' '.repeat(Math.max(0, columns - widthOf(text)))

/** Wraps a text between words. A longer word is cut. */
export function wrapTo(text: string, columns: number, end: string): readonly string[] {
  const lines: string[] = []
  for (const word of text.split(' ').filter((each) => each !== '')) {
    const last = lines.at(-1)
    if (last !== undefined && widthOf(last) + 1 + widthOf(word) <= columns) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(cut(word, columns, end))
  }
  return lines
}

/** Returns the number of columns of the longest word. */
export const longestWord = (text: string): number => Math.max(0, ...text.split(' ').map(widthOf))
