// Empty projects outside the workspace, in which the published packages are installed and run.
import fs from 'node:fs'
import path from 'node:path'
import { must, registryOf } from './checkout.mjs'

const programs = path.join(import.meta.dirname, 'programs')
const plain = ['core', 'interface', 'manual', 'nat-api', 'nat-pmp', 'node', 'pcp', 'stun', 'testkit', 'upnp']
const withLibp2p = ['autonat', 'hole-punch', 'libp2p', 'relay', 'witness']
/** The versions that the examples name: those that the packages are tested with. */
const libp2p = ['circuit-relay-v2', 'identify', 'noise', 'tcp', 'yamux', 'utils', 'interface'].map(
  (name) => `@libp2p/${name}`
)

const installs = {
  npm: ['npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'],
  pnpm: ['pnpm', 'install', '--prefer-offline', '--config.confirm-modules-purge=false'],
  yarn: ['yarn', 'install', '--non-interactive', '--silent']
}

/**
 * @typedef {object} World
 * @property {string} folder for the projects
 * @property {string} npmrc the configuration of npm, with the registry of the rehearsal
 * @property {ReadonlyMap<string, string>} versions of our packages
 * @property {Record<string, string>} runtimes the programs, by their names: node22, bun, deno and others
 * @property {Record<string, string>} third versions of packages of others
 */

/**
 * Creates a project and installs into it.
 *
 * @param {World} world
 * @param {{ name: string, manager?: keyof typeof installs, packages: readonly string[], files: readonly string[], more?: readonly string[] }} project
 * @returns {string} its folder
 */
export function createProject(world, { name, manager = 'npm', packages, files, more = [] }) {
  const folder = path.join(world.folder, name)
  fs.mkdirSync(folder, { recursive: true })
  const ours = packages.map((each) => [ourName(each), world.versions.get(ourName(each))])
  const third = more.map((each) => [each, world.third[each]])
  const dependencies = Object.fromEntries([...ours, ...third])
  for (const [each, version] of Object.entries(dependencies))
    if (!version) throw new Error(`no version of ${each} is known`)
  fs.writeFileSync(
    path.join(folder, 'package.json'),
    `${JSON.stringify({ name, private: true, dependencies }, undefined, 2)}\n`
  )
  // yarn reads no other file.
  fs.copyFileSync(world.npmrc, path.join(folder, '.npmrc'))
  for (const file of files) fs.copyFileSync(path.join(programs, file), path.join(folder, file))
  const [command, ...args] = installs[manager]
  must(folder, world.runtimes[command] ?? command, args, {
    NPM_CONFIG_USERCONFIG: world.npmrc,
    YARN_REGISTRY: registryOf(world.npmrc)
  })
  return folder
}

const ourName = (name) => (name === 'postern' ? name : `@postern/${name}`)

const run = (folder, command, args) => must(folder, command, args, { NODE_OPTIONS: '', NODE_NO_WARNINGS: '1' }).trim()

/**
 * The checks of the rehearsal: each returns what it saw, or throws.
 *
 * @type {readonly { name: string, isShort?: boolean, run(world: World): string }[]}
 */
export const checks = [
  {
    name: 'plain ESM with npm',
    isShort: true,
    run(world) {
      const folder = createProject(world, { name: 'esm', packages: plain, files: ['plain.mjs', 'require.cjs'] })
      return onEachNode(world, folder, 'plain.mjs')
    }
  },
  {
    name: 'require()',
    isShort: true,
    run: (world) => onEachNode(world, path.join(world.folder, 'esm'), 'require.cjs')
  },
  {
    name: 'one core for all',
    isShort: true,
    run: (world) => oneOf(path.join(world.folder, 'esm'), '@postern/core')
  },
  ...['pnpm', 'yarn'].map((manager) => ({
    name: `plain ESM with ${manager}`,
    run(world) {
      const folder = createProject(world, { name: manager, manager, packages: plain, files: ['plain.mjs'] })
      return run(folder, process.execPath, ['plain.mjs'])
    }
  })),
  {
    name: 'TypeScript, strict, nodenext and bundler',
    run(world) {
      const folder = createProject(world, {
        name: 'typescript',
        packages: [...plain, ...withLibp2p],
        files: ['typed.ts'],
        more: ['typescript', '@types/node', 'libp2p', ...libp2p]
      })
      const tsc = path.join('node_modules', 'typescript', 'bin', 'tsc')
      const strict = ['--noEmit', '--strict', '--target', 'es2023', '--types', 'node', 'typed.ts', '--skipLibCheck']
      run(folder, process.execPath, [tsc, '--module', 'nodenext', ...strict])
      run(folder, process.execPath, [tsc, '--module', 'esnext', '--moduleResolution', 'bundler', ...strict])
      return 'compiled'
    }
  },
  {
    name: 'a libp2p node',
    run(world) {
      const folder = createProject(world, {
        name: 'libp2p',
        packages: ['libp2p', 'pcp', 'testkit'],
        files: ['node-of-libp2p.mjs'],
        more: ['libp2p', ...libp2p]
      })
      return onEachNode(world, folder, 'node-of-libp2p.mjs')
    }
  },
  ...['bun', 'deno'].map((name) => ({
    name: `plain ESM on ${name}`,
    run: (world) => onRuntime(world, name, path.join(world.folder, 'esm'), 'plain.mjs')
  })),
  ...['bun', 'deno'].map((name) => ({
    name: `a libp2p node on ${name}`,
    run: (world) => onRuntime(world, name, path.join(world.folder, 'libp2p'), 'node-of-libp2p.mjs')
  })),
  {
    name: 'the examples',
    run(world) {
      const examples = path.join(world.checkout, 'examples')
      const names = fs.readdirSync(examples).filter((name) => fs.existsSync(path.join(examples, name, 'package.json')))
      for (const name of names)
        installExample(world, path.join(examples, name), path.join(world.folder, `example-${name}`))
      return `${names.length} installed, each of their files compiles`
    }
  }
]

function onEachNode(world, folder, file) {
  const nodes = Object.entries({ node: process.execPath, ...world.runtimes }).filter(([name]) =>
    name.startsWith('node')
  )
  const seen = nodes.map(([, program]) => {
    const text = run(folder, program, [file])
    return `${run(folder, program, ['--version'])} ${text}`
  })
  return seen.join(', ')
}

function onRuntime({ runtimes }, name, folder, file) {
  const program = runtimes[name]
  if (program === undefined) throw new Error(`${name} is not installed`)
  return run(folder, program, name === 'deno' ? ['run', '-A', '--node-modules-dir=manual', file] : [file])
}

/** Returns the version of a package. Throws if there are two. */
export function oneOf(folder, name) {
  const found = new Set()
  const scope = path.join(folder, 'node_modules')
  for (const file of fs.readdirSync(scope, { recursive: true })) {
    if (!file.endsWith(path.join('node_modules', name, 'package.json')) && file !== path.join(name, 'package.json'))
      continue
    found.add(JSON.parse(fs.readFileSync(path.join(scope, file), 'utf8')).version)
  }
  if (found.size !== 1) throw new Error(`${found.size} versions of ${name}: ${[...found].join(', ')}`)
  return [...found].join('')
}

/** Installs an example with the published versions in the place of those of the workspace. */
function installExample(world, source, target) {
  fs.cpSync(source, target, { recursive: true, filter: (file) => path.basename(file) !== 'node_modules' })
  const file = path.join(target, 'package.json')
  const manifest = JSON.parse(fs.readFileSync(file, 'utf8'))
  const dependencies = Object.entries(manifest.dependencies).map(([name, range]) => [
    name,
    world.versions.get(name) ?? range
  ])
  fs.writeFileSync(
    file,
    JSON.stringify({ ...manifest, dependencies: Object.fromEntries(dependencies), devDependencies: {} })
  )
  const [command, ...args] = installs.npm
  must(target, command, args, { NPM_CONFIG_USERCONFIG: world.npmrc })
  const sources = fs.readdirSync(target).filter((each) => /\.m?[jt]s$/.test(each))
  for (const each of sources) run(target, process.execPath, ['--check', each])
}
