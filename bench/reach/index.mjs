// npm run reach: asks in every topology of the lab what each contender claims, and lets a host outside try it.
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { canRunLab, topologies } from '@postern/lab'
import { machineFacts } from '../machine.mjs'
import { formatMarkdown, formatText } from '../tables.mjs'
import { contenders } from './contenders.mjs'
import { describe, tableOf, tallyOf } from './table.mjs'
import { tryOut } from './try-out.mjs'

const usage = `node bench/reach/index.mjs [--only <topology>,…] [--contender <name>,…] [--json]

Without options it runs everything, about a quarter of an hour, and writes docs/benchmarks/reach.md.`

const options = {
  only: { type: 'string' },
  contender: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' }
}

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => interrupted.abort())

try {
  process.exitCode = await main(parseArgs({ options }).values)
} catch (error) {
  if (!interrupted.signal.aborted) throw error
  console.error('Interrupted.')
  process.exitCode = 130
}

async function main({ only, contender, json = false, help = false }) {
  const places = only?.split(',') ?? topologies.map(({ name }) => name)
  const chosen = contenders.filter(({ id }) => contender === undefined || contender.split(',').includes(id))
  const unknown = places.filter((name) => !topologies.some((each) => each.name === name))
  if (help || unknown.length > 0 || chosen.length === 0) {
    console.log(usage)
    return help ? 0 : 2
  }
  const support = await canRunLab()
  if (!support.ok) {
    console.error(`The lab cannot run here: ${support.reason}`)
    return 1
  }
  const rows = []
  for (const topology of places) {
    interrupted.signal.throwIfAborted()
    // Each contender has a lab of its own.
    const results = await Promise.all(chosen.map((each) => tryOut(each, topology, interrupted.signal)))
    for (const [index, { name }] of chosen.entries())
      console.error(`${topology.padEnd(20)} ${name.padEnd(24)} ${describe(results[index])}`)
    rows.push({ topology, results })
  }
  if (json) console.log(JSON.stringify({ contenders: chosen.map(({ name }) => name), rows }, undefined, 1))
  else for (const table of [tallyOf(chosen, rows), tableOf(chosen, rows)]) console.log(`${formatText(table)}\n`)
  if (only === undefined && contender === undefined && !json) await writeDocument(chosen, rows)
  const ours = chosen.flatMap(({ isOurs }, index) => (isOurs ? rows.map(({ results }) => results[index]) : []))
  const isHonest = ours.every(({ claims }) => claims.every(({ isReached }) => isReached))
  if (!isHonest) console.error('A claim of ours is false.')
  return isHonest ? 0 : 1
}

async function writeDocument(chosen, rows) {
  const { system, node } = machineFacts()
  const descriptions = topologies.map(({ name, description }) => `| ${name} | ${description} |`)
  const parts = [
    '# What is reached from outside',
    'Written by this command; nothing here is edited by hand:',
    '```sh\nnpm run reach\n```',
    `${new Date().toISOString().slice(0, 10)}, Node ${node.slice(1)} on ${system}.`,
    'In every topology of the lab each contender makes the same home reachable, in a lab of its own, as its README says. What it then claims is tried from a host outside that nothing in the home has ever sent anything to. **False** is a claim at which no connection got through; a dash stands for no claim.',
    'A web server answers over HTTP, a libp2p node accepts an authenticated connection. Three hosts on the internet help: each is a relay and an AutoNAT v2 server, two are witnesses, one lets its ports be used over SSH.',
    formatMarkdown(tallyOf(chosen, rows)),
    formatMarkdown(tableOf(chosen, rows)),
    '## The contenders',
    ...chosen.map(({ name, text }) => `- **${name}**: ${text}`),
    '## The topologies',
    ['| name | what it is |', '|---|---|', ...descriptions].join('\n')
  ]
  const file = new URL('../../docs/benchmarks/reach.md', import.meta.url)
  await writeFile(file, `${parts.join('\n\n').replace(/\n\n(?=- \*\*)/g, '\n')}\n`)
  console.error('docs/benchmarks/reach.md is written.')
}
