import { writeFile } from 'node:fs/promises'
import { aimsTable, formatMarkdown } from './tables.mjs'

const file = new URL('../docs/benchmarks/speed-and-size.md', import.meta.url)

/** Returns docs/benchmarks/speed-and-size.md for a whole run. */
export async function writeDocument({ system, processor, cores, memoryGib, node, loadAtStart }, sections) {
  const date = new Date().toISOString().slice(0, 10)
  const parts = [
    '# Speed and size',
    'Written by this command, every number by the same run; nothing here is edited by hand:',
    '```sh\nnpm run bench\n```',
    `${date}, Node ${node.slice(1)} on ${system}: ${processor}, ${cores} cores, ${memoryGib} GiB; load ${loadAtStart} at the start.`,
    'Times are the median of several rounds, with the minimum and the maximum in parentheses. The contenders take turns in the same run, so a ratio tells more than a time; “× ours” is how many times as long a contender took as the line marked 1, round by round. The routers are real ones (miniupnpd on a kernel NAT) in the lab, with no delay on the links unless one is named.',
    formatMarkdown(aimsTable(sections)),
    ...sections.flatMap(({ title, notes, tables }) => [`## ${title}`, ...tables.map(formatMarkdown), ...notes])
  ]
  await writeFile(file, `${parts.join('\n\n')}\n`)
  console.error('docs/benchmarks/speed-and-size.md is written.')
}
