// Every published module, imported and required in every runtime.
import fs from 'node:fs'
import path from 'node:path'
import { createProject, nodesOf, onRuntime, run } from './projects.mjs'

/** Creates a project with all packages, unless it is there already. Resolves with its folder, and the modules that it can import. */
async function projectOfAll(world) {
  const names = [...world.versions.keys()]
  const folder = path.join(world.folder, 'all')
  if (!fs.existsSync(folder))
    await createProject(world, {
      name: 'all',
      packages: names.map((name) => name.replace('@postern/', '')),
      files: ['import.mjs', 'require-all.cjs']
    })
  const modules = names.flatMap((name) => {
    const file = path.join(folder, 'node_modules', name, 'package.json')
    const { exports = {} } = JSON.parse(fs.readFileSync(file, 'utf8'))
    return Object.keys(exports).map((each) => `${name}${each.slice(1)}`)
  })
  return { folder, modules }
}

export async function checkImports(world) {
  const { folder, modules } = await projectOfAll(world)
  for (const program of nodesOf(world)) await run(world, folder, program, ['import.mjs', ...modules])
  for (const name of ['bun', 'deno']) await onRuntime(world, name, folder, ['import.mjs', ...modules])
  return `${modules.length} modules on ${nodesOf(world).length} versions of Node.js, on Bun and on Deno`
}

export async function checkRequire(world) {
  const { folder, modules } = await projectOfAll(world)
  const { node22_0: first, ...rest } = world.runtimes
  for (const program of nodesOf({ runtimes: rest })) await run(world, folder, program, ['require-all.cjs', ...modules])
  for (const name of ['bun', 'deno']) await onRuntime(world, name, folder, ['require-all.cjs', ...modules])
  // Node.js 22.0 to 22.11 cannot require() ESM, and says what to do instead.
  const refused = await run(world, folder, first, ['require-all.cjs', '@postern/node'], { codes: [1] })
  if (!/^@postern\/node: .*change the require .* to a dynamic import\(\)/.test(refused)) throw new Error(refused)
  return `${modules.length} modules; the error of Node.js before 22.12 names import()`
}

/** The packages that a program starts from: they say what is wrong before anything else fails. */
const checked = ['node', 'nat-api', 'libp2p', 'libp2p-utils', 'autonat', 'relay', 'hole-punch']

export async function checkOldNode(world) {
  const { folder } = await projectOfAll(world)
  const sentence = /needs? Node\.js 22 or later, and this is Node\.js 20\.[\d.]+: https:\/\/nodejs\.org$/
  const old = world.runtimes.node20
  for (const name of checked) {
    const said = await run(world, folder, old, ['import.mjs', `@postern/${name}`], { codes: [1] })
    if (!sentence.test(said)) throw new Error(`@postern/${name}: ${said}`)
  }
  for (const program of ['postern/bin/postern.js', '@postern/cli/bin/postern.js', '@postern/lab/bin/postern-lab.js']) {
    const file = path.join('node_modules', program)
    await run(world, folder, old, ['-e', tryProgram, file])
  }
  return `${checked.length} packages and 3 programs say so in one sentence`
}

/** Runs a program, and fails unless it writes one line, that sentence, and ends with 1. */
const tryProgram = `
const { status, stderr } = require('node:child_process').spawnSync(process.execPath, [process.argv[1], 'list'], { encoding: 'utf8' })
if (status !== 1 || !/^postern(-lab)? needs Node\\.js 22 or later, and this is [^\\n]*\\n$/.test(stderr)) throw new Error(status + stderr)`
