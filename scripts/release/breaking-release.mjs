// A breaking minor version of core: which packages get a new version, and which cores their users end with.
import fs from 'node:fs'
import path from 'node:path'
import { manifests, prepareVersions, publish } from './checkout.mjs'
import { createProject, installedOf, oneOf, run } from './projects.mjs'

const core = '@postern/core'
const packages = ['core', 'node', 'nat-api', 'status', 'pcp']

export async function checkBreakingRelease(world) {
  const careful = await createProject(world, { name: 'careful', packages, files: ['two-cores.mjs'] })
  widen(careful)
  fs.writeFileSync(
    path.join(world.checkout, '.changeset', 'rehearsal.md'),
    `---\n'${core}': minor\n---\n\nA rehearsal of a breaking change.\n`
  )
  const next = await prepareVersions(world.checkout)
  await publish(world.checkout, world.env)
  const changed = expectVersions(world, next)

  // A user who updates within the ranges of npm gets nothing of it.
  await run(world, careful, 'npm', ['update', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-online'])
  expectCore(careful, world.versions.get(core))
  await expectWarning(world, careful, false)

  // One who updates everything has the new core, once.
  const updated = await createProject(
    { ...world, versions: next },
    { name: 'updated', packages, files: ['two-cores.mjs'] }
  )
  expectCore(updated, next.get(core))
  await expectWarning(world, updated, false)

  // One who updates core alone has two of them, and is told so.
  const latest = ['install', `${core}@latest`, '--no-audit', '--no-fund', '--loglevel=error', '--prefer-online']
  await run(world, careful, 'npm', latest)
  const cores = installedOf(careful, core)
  if (cores.length !== 2) throw new Error(`core alone was updated, and there is ${cores.join(', ')}`)
  await expectWarning(world, careful, true)
  return `${changed.join(', ')}; one core for all; two are reported at import`
}

/** Writes ranges into a manifest, as `npm install <package>` does. */
function widen(folder) {
  const file = path.join(folder, 'package.json')
  const manifest = JSON.parse(fs.readFileSync(file, 'utf8'))
  const dependencies = Object.entries(manifest.dependencies).map(([name, version]) => [name, `^${version}`])
  fs.writeFileSync(file, JSON.stringify({ ...manifest, dependencies: Object.fromEntries(dependencies) }))
}

/** Fails unless core and what depends on it got a minor version, and nothing else a version. Returns what changed, and why. */
function expectVersions(world, next) {
  const sets = new Map(
    manifests(world.checkout).map(({ name, dependencies = {} }) => [name, Object.keys(dependencies)])
  )
  const needs = (name) => name === core || (sets.get(name) ?? []).some(needs)
  const changed = []
  for (const [name, version] of next) {
    const before = world.versions.get(name)
    const [major, minor] = before.split('.').map(Number)
    const wanted = needs(name) ? `${major}.${minor + 1}.0` : before
    if (version !== wanted) throw new Error(`${name} has version ${version}, and not ${wanted}`)
    if (version === before) continue
    const through = sets.get(name).filter(needs).map(shorten)
    changed.push(`${shorten(name)} ${version}${name === core ? '' : ` (needs ${through.join(', ')})`}`)
  }
  return changed
}

const shorten = (name) => name.replace('@postern/', '')

function expectCore(folder, wanted) {
  const found = oneOf(folder, core)
  if (found !== wanted) throw new Error(`${folder} has core ${found}, and not ${wanted}`)
}

/** Runs a program that imports core and node, and fails unless it says, or does not say, that there are two cores. */
async function expectWarning(world, folder, isExpected) {
  const said = await run(world, folder, process.execPath, ['two-cores.mjs'], {
    env: { ...world.env, NODE_NO_WARNINGS: '' }
  })
  const isThere = /^Two copies of @postern\/core are loaded, .*npm ls @postern\/core/.test(said)
  if (isThere !== isExpected) throw new Error(`${folder} says of two cores: ${said || 'nothing'}`)
}
