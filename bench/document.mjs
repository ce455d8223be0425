import { writeFile } from 'node:fs/promises'
import { sections } from './sections/index.mjs'
import { aimsTable, formatMarkdown } from './tables.mjs'

const folder = new URL('../docs/benchmarks/', import.meta.url)

/** What only docs/benchmarks/start.md shows. */
const startOnly = new Set(['process', 'tunnel'])
const start = new Set([...startOnly, 'imports', 'reach'])

/** The documents that a run writes, by the name on the command line; the first is that of a run without a name. */
export const documents = [
  {
    name: undefined,
    file: 'speed-and-size.md',
    title: 'Speed and size',
    command: 'npm run bench',
    sections: sections.filter(({ name }) => !startOnly.has(name))
  },
  {
    name: 'start',
    file: 'start.md',
    title: 'From nothing to reachable',
    command: 'npm run bench -- start',
    sections: sections.filter(({ name }) => start.has(name))
  }
]

/** Writes a document for a whole run. */
export async function writeDocument({ file, title, command }, machine, done) {
  const { system, processor, cores, memoryGib, node, loadAtStart } = machine
  const date = new Date().toISOString().slice(0, 10)
  const parts = [
    `# ${title}`,
    'Written by this command, every number by the same run; nothing here is edited by hand:',
    `\`\`\`sh\n${command}\n\`\`\``,
    `${date}, Node ${node.slice(1)} on ${system}: ${processor}, ${cores} cores, ${memoryGib} GiB; load ${loadAtStart} at the start.`,
    'Times are the median of several rounds, with the minimum and the maximum in parentheses. The contenders take turns in the same run, so a ratio tells more than a time; “× ours” is how many times as long a contender took as the line marked 1, round by round. The routers are real ones (miniupnpd on a kernel NAT) in the lab, with no delay on the links unless one is named.',
    formatMarkdown(aimsTable(done)),
    ...done.flatMap(({ title: name, notes, tables }) => [`## ${name}`, ...tables.map(formatMarkdown), ...notes])
  ]
  await writeFile(new URL(file, folder), `${parts.join('\n\n')}\n`)
  console.error(`docs/benchmarks/${file} is written.`)
}
