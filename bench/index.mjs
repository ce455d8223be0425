// npm run bench: measures what docs/benchmarks/speed-and-size.md says, and `npm run bench -- start` what start.md says.
import { parseArgs } from 'node:util'
import { canRunLab } from '@postern/lab'
import { builtMs } from './build.mjs'
import { documents, writeDocument } from './document.mjs'
import { machineFacts } from './machine.mjs'
import { sections } from './sections/index.mjs'
import { aimsTable, formatText } from './tables.mjs'

const usage = `npm run bench [-- [start] [--only <section>,…] [--json]]

Measures speed and size, about half an hour, and writes docs/benchmarks/speed-and-size.md. With "start" it measures how soon programs
start, map and are reachable, a few minutes, and writes docs/benchmarks/start.md. Nothing is written with --only or --json.

  --only <section>,…  ${sections.map(({ name }) => name).join(', ')}
  --json              the result as one JSON object on standard output
  --help`

const options = { only: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean' } }

// A program has no compile cache at its first run.
delete process.env.NODE_COMPILE_CACHE

const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort())
process.once('SIGTERM', () => interrupted.abort())

try {
  process.exitCode = await main(parseArgs({ options, allowPositionals: true }))
} catch (error) {
  clearProgress()
  if (!interrupted.signal.aborted) throw error
  console.error('Interrupted.')
  process.exitCode = 130
}

async function main({ values: { only, json = false, help = false }, positionals }) {
  const names = only?.split(',')
  const unknown = names?.filter((name) => !sections.some((each) => each.name === name)) ?? []
  const document = documents.find(({ name }) => name === positionals[0])
  const isWrong = unknown.length > 0 || document === undefined || positionals.length > 1
  if (help || isWrong) {
    const tell = isWrong ? console.error : console.log
    tell(usage)
    return isWrong ? 2 : 0
  }
  const chosen = names === undefined ? document.sections : sections.filter(({ name }) => names.includes(name))
  const machine = machineFacts()
  const built = await builtMs()
  const support = chosen.some(({ needsLab }) => needsLab) ? await canRunLab() : { ok: true }
  if (!support.ok) console.error(`Without the lab: ${support.reason}`)

  const done = []
  for (const { name, needsLab, run } of chosen) {
    if (needsLab && !support.ok) continue
    const startedMs = performance.now()
    const section = await run({ signal: interrupted.signal, progress: (text) => showProgress(`${name}: ${text}`) })
    clearProgress()
    console.error(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s`)
    done.push(section)
    if (!json) printSection(section)
  }
  if (json) console.log(JSON.stringify({ date: new Date().toISOString(), machine, sections: done }, undefined, 1))
  else console.log(`\n${formatText(aimsTable(done))}`)
  if ((await builtMs()) !== built) {
    console.error('The packages were rebuilt meanwhile: these numbers belong to two builds, and are not written.')
    return 1
  }
  if (only === undefined && support.ok && !json) await writeDocument(document, machine, done)
  return 0
}

function printSection({ title, notes, tables }) {
  console.log(`\n# ${title}\n`)
  for (const table of tables) console.log(`${formatText(table)}\n`)
  for (const note of notes) console.log(note)
}

function showProgress(text) {
  interrupted.signal.throwIfAborted()
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text.slice(0, process.stderr.columns - 1)}`)
}

function clearProgress() {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
}
