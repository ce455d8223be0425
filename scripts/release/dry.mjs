// npm run release:dry: a release to a registry on loopback, and its packages installed and run. See `--help`.
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { copyCheckout, manifests, must, prepareVersions, publish } from './checkout.mjs'
import { checks, createProject, oneOf } from './projects.mjs'
import { startRegistry } from './registry.mjs'
import { installRuntimes } from './runtimes.mjs'

const usage = `npm run release:dry [-- options]

Takes the changesets, publishes every package with the command of the release workflow to a registry on loopback, installs from it in
empty projects, and runs them: npm, pnpm and yarn; ESM, CommonJS and TypeScript; Node 22, 24 and 26, Bun and Deno; the examples. Then
it releases a breaking minor version of core, and looks whether a project ends with two of them. A few minutes; this checkout stays as it is.

  --short  npm and the Node of this checkout only, about a minute
  --keep   leaves the temporary folder, and prints where it is
  --json   the result as one JSON object on standard output
  --help

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
  const folder = fs.mkdtempSync(path.join(tmpdir(), 'postern-release-'))
  const tell = (text) => console.error(text)
  const results = []
  let registry
  const end = async () => {
    await registry?.stop()
    if (keep) tell(`Left: ${folder}`)
    else fs.rmSync(folder, { recursive: true, force: true })
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void end().then(() => process.exit(130)))
  /** Runs one step, and remembers whether it worked. */
  const step = async (name, work) => {
    const startedMs = performance.now()
    tell(`… ${name}`)
    try {
      const seen = await work()
      results.push({ name, ok: true, seen, tookMs: Math.round(performance.now() - startedMs) })
      tell(`✔ ${name}${typeof seen === 'string' ? `: ${seen}` : ''}`)
      return seen
    } catch (error) {
      results.push({
        name,
        ok: false,
        seen: String(error.message).slice(0, 4000),
        tookMs: Math.round(performance.now() - startedMs)
      })
      tell(`✗ ${name}\n${error.message}`)
      return undefined
    }
  }
  try {
    registry = await step('the registry starts', () => startRegistry(path.join(folder, 'registry')))
    if (registry === undefined) return report(results, json)
    const npmrc = path.join(folder, 'npmrc')
    const { url, token } = registry
    fs.writeFileSync(npmrc, `registry=${url}\n${url.replace('http:', '')}:_authToken=${token}\n`)
    const checkout = path.join(folder, 'checkout')
    const versions = await step('the next versions are built', () => {
      copyCheckout(checkout)
      return prepareVersions(checkout)
    })
    if (versions === undefined) return report(results, json)
    const isPublished = await step('every package is published', () => {
      publish(checkout, npmrc)
      return `${versions.size} packages`
    })
    if (isPublished === undefined) return report(results, json)
    const world = {
      folder,
      npmrc,
      versions,
      checkout,
      third: versionsOfOthers(checkout),
      runtimes: short ? {} : installRuntimes()
    }
    for (const { name, isShort = false, run } of checks) if (isShort || !short) await step(name, () => run(world))
    if (!short) await step('a breaking minor of core', () => breakCore(world))
    return report(results, json)
  } finally {
    await end()
  }
}

/** Returns the versions of packages of others that ours name: those that are tested. */
function versionsOfOthers(checkout) {
  const root = JSON.parse(fs.readFileSync(path.join(checkout, 'package.json'), 'utf8'))
  const sets = [root, ...manifests(checkout)].flatMap(({ dependencies, devDependencies }) => [
    devDependencies,
    dependencies
  ])
  return Object.assign({}, ...sets)
}

/** Releases a minor version of core, which breaks what depends on it below 1.0, and updates a project. Returns which packages got a new
 * version. */
function breakCore(world) {
  const text = "---\n'@postern/core': minor\n---\n\nA rehearsal of a breaking change.\n"
  fs.writeFileSync(path.join(world.checkout, '.changeset', 'rehearsal.md'), text)
  const next = prepareVersions(world.checkout)
  publish(world.checkout, world.npmrc)
  const changed = [...next].filter(([name, version]) => world.versions.get(name) !== version)
  const folder = createProject(
    { ...world, versions: next },
    { name: 'updated', packages: ['core', 'node', 'nat-api', 'cli'], files: [] }
  )
  const version = oneOf(folder, '@postern/core')
  if (version !== next.get('@postern/core')) throw new Error(`the project has core ${version}`)
  must(folder, process.execPath, ['--input-type=module', '-e', "await import('@postern/node')"])
  return changed.map(([name, each]) => `${name.replace('@postern/', '')} ${each}`).join(', ')
}

function report(results, json) {
  const failed = results.filter(({ ok }) => !ok)
  if (json)
    console.log(
      JSON.stringify({
        ok: failed.length === 0,
        steps: results.map(({ seen, ...rest }) => ({ ...rest, seen: typeof seen === 'string' ? seen : null }))
      })
    )
  else console.log(`${results.length - failed.length} of ${results.length} steps work`)
  return failed.length === 0 ? 0 : 1
}
