// npm run release:dry: a release to a registry on loopback, and its packages installed and run. See `--help`.
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { copyCheckout, manifests, prepareVersions, publish } from './checkout.mjs'
import { checks } from './checks.mjs'
import { prepareLab } from './commands.mjs'
import { environmentOf } from './environment.mjs'
import { startRegistry } from './registry.mjs'
import { endPrograms } from './run-program.mjs'
import { installRuntimes } from './runtimes.mjs'

const root = path.dirname(path.dirname(import.meta.dirname))

const usage = `npm run release:dry [-- options]

Takes the changesets, publishes every package with the command of the release workflow to a registry on loopback, and installs from it
in empty projects with npm, pnpm and yarn. It runs them on the Node.js of the clone, on 22.0, 22 and 26, on Bun and on Deno: plain servers and libp2p nodes,
ESM, require() and TypeScript, and the import of every package. Commands and examples run in a lab of routers: npx postern doctor, each
folder of examples/, the template of a strategy. Then it releases a breaking minor version of core, and checks that no project ends with
two cores without being told.

It needs network for packages of others only. It changes nothing in this checkout and on this machine, except for caches in
node_modules/.cache. Other runtimes are for Linux on x64, and labs for Linux: elsewhere these steps are skipped, with the reason.

Options:
  --short  npm and the Node.js of this checkout only: about a minute, and part of npm test. All of it takes six to twelve
  --keep   leaves the temporary folder, and prints where it is
  --json   the result as one JSON object on standard output: { ok, steps: [{ name, ok, skipped, seen, tookMs }] }
  --help   this text

Examples:
  npm run release:dry
  npm run release:dry -- --short --json

Exit codes: 0 everything works, 1 something does not, 2 invalid command line, 130 interrupted.`

const options = {
  short: { type: 'boolean' },
  keep: { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean' }
}

try {
  const { values } = parseArgs({ options })
  if (values.help) console.log(usage)
  else process.exitCode = await main(values)
} catch (error) {
  if (!error.code?.startsWith('ERR_PARSE_ARGS')) throw error
  console.error(`${error.message}\n\n${usage}`)
  process.exitCode = 2
}

async function main({ short = false, keep = false, json = false }) {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(tmpdir(), 'postern-release-')))
  // npm, for one, keeps what Node.js has compiled in the temporary folder of the system.
  for (const name of ['TMPDIR', 'TEMP', 'TMP']) process.env[name] = path.join(folder, 'tmp')
  fs.mkdirSync(path.join(folder, 'tmp'))
  const end = async () => {
    await endPrograms()
    if (keep) console.error(`Left: ${folder}`)
    else fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  let ending
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      ending ??= end().then(() => process.exit(130))
    })
  }
  const steps = createSteps(() => ending)
  try {
    await rehearse(folder, short, steps.run)
  } finally {
    await (ending ?? end())
  }
  return report(steps.results, json)
}

/** Runs steps one after another, and remembers whether they worked. A step of an interrupted run never ends: the process does. */
function createSteps(isInterrupted) {
  const results = []
  const tell = (sign, name, text) => console.error(`${sign} ${name}${text === undefined ? '' : `: ${text}`}`)
  const run = async (name, work) => {
    const startedMs = performance.now()
    tell('…', name)
    const outcome = await Promise.resolve()
      .then(work)
      .then(
        (seen) => ({ ok: true, seen }),
        (error) => ({ ok: false, error })
      )
    if (isInterrupted()) await new Promise(() => {})
    const { ok, seen, error } = outcome
    const text = ok ? (typeof seen === 'string' ? seen : undefined) : error.message
    results.push({
      name,
      ok,
      skipped: false,
      seen: text?.slice(-4000) ?? null,
      tookMs: Math.round(performance.now() - startedMs)
    })
    tell(ok ? '✔' : '✗', name, text)
    return outcome
  }
  const skip = (name, reason) => {
    results.push({ name, ok: true, skipped: true, seen: reason, tookMs: 0 })
    tell('–', name, `skipped, ${reason}`)
  }
  return { results, run: Object.assign(run, { skip }) }
}

/** Publishes, and runs the checks. Returns early where nothing is there to be checked. */
async function rehearse(folder, short, step) {
  const registry = await step('the registry starts', () => startRegistry(path.join(folder, 'registry')))
  if (!registry.ok) return
  const env = { ...environmentOf(folder, registry.seen), POSTERN_LAB_CACHE: labCache() }
  const checkout = path.join(folder, 'checkout')
  const built = await step('the next versions are built', async () => {
    await copyCheckout(checkout)
    return prepareVersions(checkout)
  })
  if (!built.ok) return
  const versions = built.seen
  const published = await step('every package is published', async () => {
    await publish(checkout, env)
    return `${versions.size} packages`
  })
  if (!published.ok) return
  const world = { folder, env, checkout, versions, third: versionsOfOthers(checkout), runtimes: {} }
  const missing = short ? {} : await prepare(world, step)
  for (const { name, isShort = false, needs = [], run } of checks) {
    if (short && !isShort) continue
    const reason = needs.map((each) => missing[each]).find((each) => each !== undefined)
    if (reason === undefined) await step(name, () => run(world))
    else step.skip(name, reason)
  }
}

/** Prepares other runtimes and the lab. Resolves with what is not there, and why. */
async function prepare(world, step) {
  const missing = {}
  await step('other runtimes are installed', async () => {
    world.runtimes = await installRuntimes()
    const names = Object.keys(world.runtimes)
    if (names.length === 0)
      missing.runtimes = `other runtimes are for Linux on x64, and this is ${process.platform}-${process.arch}`
    return names.join(', ') || missing.runtimes
  })
  await step('a lab is installed', async () => {
    const reason = await prepareLab(world)
    if (reason !== '') missing.lab = reason
    return reason || '@postern/lab runs here'
  })
  return missing
}

/** The lab's tools are those that the set-up of this checkout has unpacked. */
function labCache() {
  return process.env.POSTERN_LAB_CACHE ?? path.join(root, '.cache', 'postern-lab')
}

/** Returns the versions of packages of others that ours name: those that are tested. */
function versionsOfOthers(checkout) {
  const read = (file) => JSON.parse(fs.readFileSync(path.join(checkout, file), 'utf8'))
  const sets = [read('package.json'), ...manifests(checkout)].flatMap(({ dependencies, devDependencies }) => [
    devDependencies,
    dependencies
  ])
  return Object.assign({}, ...sets)
}

function report(results, json) {
  const failed = results.filter(({ ok }) => !ok)
  const skipped = results.filter((each) => each.skipped)
  const works = results.length - failed.length - skipped.length
  if (json) console.log(JSON.stringify({ ok: failed.length === 0, steps: results }))
  else console.log(`${works} of ${results.length} steps work${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
  for (const { name } of json ? [] : failed) console.log(`✗ ${name}`)
  return failed.length === 0 ? 0 : 1
}
