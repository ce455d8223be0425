/**
 * @typedef {{ caption: string, columns: readonly string[], rows: readonly (readonly string[])[] }} Table
 *   The first column is text, the others are numbers.
 * @typedef {{ text: string, measured: string, met: boolean | undefined }} Aim - undefined: not measured in this run
 * @typedef {{ name: string, title: string, notes: readonly string[], tables: readonly Table[], aims: readonly Aim[],
 *   data: unknown }} Section
 */

/** @param {Table} table */
export function formatText({ caption, columns, rows }) {
  const widths = columns.map((column, index) => Math.max(column.length, ...rows.map((row) => row[index].length)))
  const line = (cells) =>
    cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index]))).join('  ')
  return [caption, line(columns), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}

/** @param {Table} table */
export function formatMarkdown({ caption, columns, rows }) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  const rule = columns.map((_, index) => (index === 0 ? '---' : '---:'))
  return [`**${caption}**`, '', line(columns), line(rule), ...rows.map(line)].join('\n')
}

/** @param {readonly Section[]} sections @returns {Table} */
export const aimsTable = (sections) => ({
  caption: 'Aims',
  columns: ['aim', 'measured', 'met'],
  rows: sections
    .flatMap(({ aims }) => aims)
    .map(({ text, measured, met }) => [text, measured, met === undefined ? 'not measured' : met ? 'yes' : 'no'])
})
