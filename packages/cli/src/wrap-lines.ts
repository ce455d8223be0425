/** The columns of a terminal; undefined for a pipe or a file, where a line is as long as it is. */
export const columnsOf = (stream: object): number | undefined =>
  'isTTY' in stream && stream.isTTY === true && 'columns' in stream && typeof stream.columns === 'number'
    ? stream.columns
    : undefined

/** The colours that this program writes take no column. */
const colorCodes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g')
const widthOf = (text: string): number => text.replace(colorCodes, '').length

/**
 * Breaks the lines of a text between words, so that they fit the terminal; what follows is indented. A word that is longer, such
 * as an address, stays whole, and so does a command line (`$ postern …`), which is copied: only the remark after it moves to the next line.
 */
export function wrapLines(text: string, columns: number | undefined): string {
  if (columns === undefined || columns < 1) return text
  return text
    .split('\n')
    .flatMap((each) => wrapLine(each, columns))
    .join('\n')
}

function wrapLine(text: string, columns: number): readonly string[] {
  if (widthOf(text) <= columns) return [text]
  const [, command, remark] = /^(\s*\$ \S.*?)(?:\s{2,}(\S.*))?$/.exec(text) ?? []
  if (command !== undefined)
    return remark === undefined ? [command] : [command, ...wrapLine(`      ${remark}`, columns)]
  const indent = `${/^ */.exec(text)?.[0] ?? ''}  `
  const lines: string[] = []
  // A word with the blanks before it: columns of a table stay where they are.
  for (const word of text.match(/ *[^ ]+/g) ?? []) {
    const last = lines.at(-1)
    if (last === undefined) lines.push(word)
    else if (widthOf(last) + widthOf(word) <= columns) lines[lines.length - 1] = last + word
    else lines.push(indent + word.trimStart())
  }
  return lines
}
