// npm run fuzz: hostile input for every parser, and random routers, neighbours and peers for the whole ladder.
import { parseArgs } from 'node:util'
import { fuzzDecoder, limitMs } from './decoders.mjs'
import { live, scenarios } from './ladder/scenarios.mjs'

await import('../scripts/sources.mjs')
const { targets } = await import('./targets/index.mjs')

const usage = `npm run fuzz [-- seconds] [-- options]

  seconds          for how long; half for parsers, half for the ladder (60)
  --seed <n>       the first seed; the next inputs have the seeds after it (random)
  --target <name>  one target only
  --runs <n>       this many seeds of each target instead of a time
  --json           the result as one JSON object on standard output
  --help

Examples:
  npm run fuzz                                                  one minute of everything
  npm run fuzz -- 600                                           ten minutes
  npm run fuzz -- 30 --target upnp-description                  one parser
  npm run fuzz -- --target routers --seed 500033 --runs 1       one seed again

Parsers: ${targets.map(({ name }) => name).join(', ')}
Ladder: ${scenarios.join(', ')}

Exit codes: 0 no finding, 1 a finding, 2 invalid command line, 130 interrupted.`

const options = {
  seed: { type: 'string' },
  target: { type: 'string' },
  runs: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' }
}

let toldMs = performance.now()
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => interrupted.abort())

process.exitCode = await main()

async function main() {
  let read
  try {
    read = readCommandLine()
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`)
    return 2
  }
  if (read.help) {
    console.log(usage)
    return 0
  }
  const { seed, runs, seconds, names, json } = read
  console.error(
    `seed ${seed}, ${runs === undefined ? `${seconds} s` : `${runs} runs each`}; Ctrl-C ends it with a summary`
  )
  const results = []
  const plan = names.map((name) => ({ name, weight: scenarios.includes(name) ? targets.length / scenarios.length : 1 }))
  const weights = plan.reduce((sum, { weight }) => sum + weight, 0)
  for (const { name, weight } of plan) {
    if (interrupted.signal.aborted) break
    const untilMs =
      runs === undefined ? performance.now() + (seconds * 1000 * weight) / weights : Number.POSITIVE_INFINITY
    const isOver = () => interrupted.signal.aborted || performance.now() >= untilMs
    const target = targets.find((each) => each.name === name)
    const run = target === undefined ? runScenario : (_, given) => runDecoder(target, given)
    const result = await run(name, { seed, runs: runs ?? Number.POSITIVE_INFINITY, isOver })
    results.push(result)
    for (const failure of result.failures.slice(0, 3)) tell(failure)
  }
  const failed = results.reduce((sum, { failures }) => sum + failures.length, 0)
  if (json) console.log(JSON.stringify({ seed, results }))
  else printTable(results)
  console.error(`${results.reduce((sum, each) => sum + each.runs, 0)} runs, ${failed} failures, seed ${seed}`)
  return failed > 0 ? 1 : interrupted.signal.aborted ? 130 : 0
}

function readCommandLine() {
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const number = (text, name, least) => {
    if (text !== undefined && !(/^\d{1,10}$/.test(text) && Number(text) >= least))
      throw new TypeError(`${name} is not a whole number from ${least} on: ${text}`)
    return text === undefined ? undefined : Number(text)
  }
  if (positionals.length > 1) throw new TypeError(`one number of seconds, please: ${positionals.join(' ')}`)
  const all = [...targets.map(({ name }) => name), ...scenarios]
  const { target, json = false, help = false } = values
  if (target !== undefined && !all.includes(target)) throw new TypeError(`there is no target ${String(target)}`)
  return {
    help,
    json,
    seconds: number(positionals[0], 'seconds', 1) ?? 60,
    seed: number(values.seed, '--seed', 0) ?? Date.now() % 1_000_000_000,
    runs: number(values.runs, '--runs', 1),
    names: target === undefined ? all : [target]
  }
}

/** Runs in turns of 200 inputs, so that progress is shown and signals are handled. */
async function runDecoder(target, { seed, runs, isOver }) {
  const total = { name: target.name, runs: 0, slowest: { ms: 0, length: 0, seed }, failures: [] }
  while (total.runs < runs && !isOver()) {
    const turn = fuzzDecoder(target, { seed: seed + total.runs, runs: Math.min(200, runs - total.runs), isOver })
    total.runs += turn.runs
    total.failures.push(...turn.failures)
    if (turn.slowest.ms > total.slowest.ms) total.slowest = turn.slowest
    await progress(total)
  }
  return total
}

async function runScenario(name, { seed, runs, isOver }) {
  const total = { name, runs: 0, failures: [] }
  for (; total.runs < runs && !isOver(); total.runs++) {
    const own = seed + total.runs
    const { problems } = await live(name, own)
    total.failures.push(...problems.map((what) => ({ target: name, seed: own, what })))
    await progress(total)
  }
  return total
}

async function progress({ name, runs, failures }) {
  const now = performance.now()
  if (now - toldMs > 2000) {
    toldMs = now
    console.error(`${name}: ${runs} runs, ${failures.length} failures`)
  }
  await new Promise((resolve) => setImmediate(resolve))
}

function tell({ target, seed, what }) {
  console.error(`✘ ${target}: ${what}\n  again: npm run fuzz -- --target ${target} --seed ${seed} --runs 1`)
}

function printTable(results) {
  console.log(
    `${'target'.padEnd(28)}${'runs'.padStart(9)}${'failures'.padStart(10)}  slowest input (limit ${limitMs} ms)`
  )
  for (const { name, runs, failures, slowest } of results) {
    const slow =
      slowest === undefined ? '' : `${slowest.ms.toFixed(1)} ms, ${slowest.length} long, seed ${slowest.seed}`
    console.log(`${name.padEnd(28)}${String(runs).padStart(9)}${String(failures.length).padStart(10)}  ${slow}`)
  }
}
