/** Returns the number of columns of a terminal; undefined for a pipe or a file, where lines are not wrapped. */
export const columnsOf = (stream: object): number | undefined =>
  'isTTY' in stream && stream.isTTY === true && 'columns' in stream && typeof stream.columns === 'number'
    ? stream.columns
    : undefined

/** The colour codes of this program, which take no columns. */
const colorCodes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g')
const widthOf = (text: string): number => text.replace(colorCodes, '').length

/**
 * Wraps the lines of a text between words, and indents the following lines. A longer word, such as an address, stays
 * whole. So does a command line (`$ postern …`), because users copy it; only the remark after it moves to the next
 * line.
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
  // A word with the spaces before it, so that the columns of a table stay aligned.
  for (const word of text.match(/ *[^ ]+/g) ?? []) {
    const last = lines.at(-1)
    if (last === undefined) lines.push(word)
    else if (widthOf(last) + widthOf(word) <= columns) lines[lines.length - 1] = last + word
    else lines.push(indent + word.trimStart())
  }
  return lines
}
