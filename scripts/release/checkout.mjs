// A copy of this checkout as the release workflow has it: set up, with the next versions, built.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'

const root = path.dirname(path.dirname(import.meta.dirname))
const windows = process.platform === 'win32'

/** The time limit for one program, in ms: to publish all packages takes a minute or two. */
const limitMs = 600_000

/** Runs a program. Throws an Error with its output if it fails, or does not end. */
export function must(cwd, command, args, env = {}) {
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    timeout: limitMs,
    // Programs of npm packages take the first Node there.
    env: {
      // A script of npm or pnpm has its configuration in its environment, where it is stronger than any file: a registry there would be
      // the one that is published to.
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_config_/i.test(name))),
      PATH: [path.dirname(process.execPath), process.env.PATH].join(path.delimiter),
      ...env
    },
    encoding: 'utf8',
    shell: windows,
    maxBuffer: 64 * 1024 * 1024
  })
  if (error) throw error
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')} ends with ${signal ?? `code ${status}`}\n${stdout}${stderr}`)
  return stdout
}

/**
 * Copies what git would commit, so that the rehearsal writes nothing into this checkout.
 *
 * @param {string} folder that does not exist
 */
export function copyCheckout(folder) {
  const listed = must(root, 'git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard']).split('\0')
  for (const file of listed) {
    // Deleted, and not committed yet.
    if (file === '' || !fs.existsSync(path.join(root, file))) continue
    fs.cpSync(path.join(root, file), path.join(folder, file), { verbatimSymlinks: true })
  }
  const git = (...args) =>
    must(folder, 'git', ['-c', 'user.name=release', '-c', 'user.email=release@example.invalid', ...args])
  git('init', '--quiet', '--initial-branch=main')
  git('add', '--all')
  git('commit', '--quiet', '--message=rehearsal')
}

/**
 * Sets up the copy, takes the changesets as the release does, and builds.
 *
 * @returns {ReadonlyMap<string, string>} the versions of the published packages
 */
export function prepareVersions(folder) {
  const run = (...args) => must(folder, process.execPath, [path.join('scripts', 'run.mjs'), ...args])
  run('node', path.join('scripts', 'version.mjs'))
  run('--build')
  return new Map(manifests(folder).map(({ name, version }) => [name, version]))
}

/** Returns the manifests of the packages that are published. */
export function manifests(folder) {
  const packages = path.join(folder, 'packages')
  return fs
    .readdirSync(packages)
    .map((name) => path.join(packages, name, 'package.json'))
    .filter((file) => fs.existsSync(file))
    .map((file) => JSON.parse(fs.readFileSync(file, 'utf8')))
    .filter((manifest) => manifest.private !== true)
}

/** Publishes from the copy with the command of the release workflow, to another registry. */
export function publish(folder, npmrc) {
  const manifest = path.join(folder, 'package.json')
  const text = JSON.parse(fs.readFileSync(manifest, 'utf8'))
  const repository = text.repository || 'https://github.com/postern/postern'
  fs.writeFileSync(manifest, `${JSON.stringify({ ...text, repository }, undefined, 2)}\n`)
  const { origin, pathname } = new URL(repository)
  return must(
    folder,
    process.execPath,
    [path.join('scripts', 'run.mjs'), 'node', path.join('scripts', 'publish.mjs')],
    {
      GITHUB_SERVER_URL: origin,
      GITHUB_REPOSITORY: pathname.slice(1),
      GITHUB_SHA: must(folder, 'git', ['rev-parse', 'HEAD']).trim(),
      NPM_CONFIG_USERCONFIG: npmrc,
      NPM_CONFIG_PROVENANCE: 'false'
    }
  )
}

/** Returns the registry of a configuration file. Throws an Error if it names none on loopback. */
export function registryOf(npmrc) {
  const [, registry = ''] = /^registry=(http:\/\/127\.0\.0\.1:\d+\/)$/m.exec(fs.readFileSync(npmrc, 'utf8')) ?? []
  if (registry === '') throw new Error(`${npmrc} names no registry on loopback`)
  return registry
}
