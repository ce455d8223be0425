// Empty projects outside the workspace, in which the published packages are installed and run.
import fs from 'node:fs'
import path from 'node:path'
import { must } from './run-program.mjs'

const programs = path.join(import.meta.dirname, 'programs')

/** The names of libp2p's packages that the examples use. */
export const libp2p = ['circuit-relay-v2', 'identify', 'noise', 'tcp', 'yamux', 'utils', 'interface'].map(
  (name) => `@libp2p/${name}`
)

export const installs = {
  npm: ['npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-online'],
  pnpm: ['pnpm', 'install', '--config.confirm-modules-purge=false', '--reporter=append-only'],
  yarn: ['yarn', 'install', '--non-interactive', '--silent']
}

/**
 * @typedef {object} World
 * @property {string} folder for the projects
 * @property {NodeJS.ProcessEnv} env in which package managers know the registry of the rehearsal, and no other
 * @property {string} checkout the copy from which the packages were published
 * @property {ReadonlyMap<string, string>} versions of our packages
 * @property {Record<string, string>} runtimes the programs, by their names: node22, bun, deno and others
 * @property {Record<string, string>} third versions of packages of others: those that ours are tested with
 */

/** Returns the name of a package of ours: `@postern/core` for `core`. */
export const ourName = (name) => (name === 'postern' ? name : `@postern/${name}`)

/**
 * Creates a project and installs into it.
 *
 * @param {World} world
 * @param {{ name: string, manager?: keyof typeof installs, packages: readonly string[], files?: readonly string[], more?: readonly string[] }} project
 * @returns {Promise<string>} its folder
 */
export async function createProject(world, { name, manager = 'npm', packages, files = [], more = [] }) {
  const folder = path.join(world.folder, name)
  const dependencies = Object.fromEntries(
    [...packages.map(ourName), ...more].map((each) => [each, world.versions.get(each) ?? world.third[each]])
  )
  for (const [each, version] of Object.entries(dependencies))
    if (!version) throw new Error(`no version of ${each} is known`)
  fs.mkdirSync(folder, { recursive: true })
  writeManifest(folder, { name, private: true, dependencies })
  copyPrograms(folder, files)
  await install(world, folder, manager)
  return folder
}

/** Installs what the manifest of a folder names. */
export async function install(world, folder, manager = 'npm') {
  const [command, ...args] = installs[manager]
  await must(folder, world.runtimes[command] ?? command, args, { env: world.env })
}

/** Writes the manifest of a folder. */
export function writeManifest(folder, manifest) {
  fs.writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`)
}

/** Copies programs of the rehearsal into a project: they import what is installed there. */
export function copyPrograms(folder, files) {
  for (const file of files) fs.copyFileSync(path.join(programs, file), path.join(folder, file))
}

/**
 * Copies a project of the checkout, an example or the template, with the published versions in the place of those of the workspace.
 *
 * @param {World} world
 * @param {string} source in the checkout
 * @param {string} target that does not exist
 * @param {{ dependencies?: Record<string, string>, scripts?: Record<string, string> }} [more] added to the manifest
 */
export function copyProject(world, source, target, { dependencies = {}, ...rest } = {}) {
  const left = new Set(['node_modules', 'dist', '.cache', '.turbo'])
  fs.cpSync(path.join(world.checkout, source), target, {
    recursive: true,
    filter: (file) => !left.has(path.basename(file))
  })
  const manifest = JSON.parse(fs.readFileSync(path.join(target, 'package.json'), 'utf8'))
  const published = (set = {}) =>
    Object.fromEntries(Object.entries(set).map(([name, range]) => [name, world.versions.get(name) ?? range]))
  writeManifest(target, {
    ...manifest,
    ...rest,
    dependencies: { ...published(manifest.dependencies), ...dependencies },
    devDependencies: published(manifest.devDependencies)
  })
}

/** Runs a program in a project, and resolves with what it prints. */
export const run = async (world, folder, command, args, options = {}) =>
  (await must(folder, command, args, { env: world.env, ...options })).trim()

/** Resolves with what a program of a project prints on each Node.js that the packages support. */
export async function onEachNode(world, folder, file) {
  const seen = []
  for (const program of nodesOf(world)) {
    const version = await run(world, folder, program, ['--version'])
    seen.push(`${version} ${await run(world, folder, program, [file])}`)
  }
  return seen.join(', ')
}

/** Returns the programs of Node.js that the packages support: that of this checkout, and others if they are installed. */
export const nodesOf = ({ runtimes }) => [
  process.execPath,
  ...['node22_0', 'node22', 'node26'].flatMap((name) => runtimes[name] ?? [])
]

/** Resolves with what a program of a project prints on Bun or Deno. */
export function onRuntime(world, name, folder, args) {
  const program = world.runtimes[name]
  if (program === undefined) throw new Error(`${name} is not installed`)
  return run(world, folder, program, name === 'deno' ? ['run', '-A', '--node-modules-dir=manual', ...args] : args)
}

/** Returns the versions of a package that are installed in a project, however deep. */
export function installedOf(folder, name) {
  const modules = path.join(folder, 'node_modules')
  const wanted = path.join(name, 'package.json')
  const files = fs
    .readdirSync(modules, { recursive: true })
    .filter((file) => file === wanted || file.endsWith(path.join('node_modules', wanted)))
  return [...new Set(files.map((file) => JSON.parse(fs.readFileSync(path.join(modules, file), 'utf8')).version))]
}

/** Returns the version of a package in a project. Throws if there are two. */
export function oneOf(folder, name) {
  const found = installedOf(folder, name)
  if (found.length !== 1) throw new Error(`${found.length} versions of ${name}: ${found.join(', ')}`)
  return found[0]
}
