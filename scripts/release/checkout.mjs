// A copy of this checkout as the release workflow has it: set up, with the next versions, built, and published.
import fs from 'node:fs'
import path from 'node:path'
import { must } from './run-program.mjs'

const root = path.dirname(path.dirname(import.meta.dirname))

/**
 * Copies what git would commit, so that the rehearsal writes nothing into this checkout.
 *
 * @param {string} folder that does not exist
 */
export async function copyCheckout(folder) {
  const listed = await must(root, 'git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'])
  for (const file of listed.split('\0')) {
    // Deleted, and not committed yet.
    if (file === '' || !fs.existsSync(path.join(root, file))) continue
    fs.cpSync(path.join(root, file), path.join(folder, file), { verbatimSymlinks: true })
  }
  for (const args of [
    ['init', '--quiet', '--initial-branch=main'],
    ['add', '--all'],
    ['commit', '--quiet', '--message=rehearsal']
  ])
    await must(folder, 'git', args, { env: withAuthor(process.env) })
}

/**
 * Sets up the copy, takes the changesets as the release does, and builds.
 *
 * @returns {Promise<ReadonlyMap<string, string>>} the versions of the published packages
 */
export async function prepareVersions(folder) {
  const run = (...args) => must(folder, process.execPath, [path.join('scripts', 'run.mjs'), ...args])
  // After a release there is nothing to version, and `changeset version` fails then.
  const hasChangesets = fs.readdirSync(path.join(folder, '.changeset')).some((file) => file.endsWith('.md'))
  if (hasChangesets) await run('node', path.join('scripts', 'version.mjs'))
  await run('--build')
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

/**
 * Publishes from the copy with the command of the release workflow, to another registry.
 *
 * @param {string} folder of the copy
 * @param {NodeJS.ProcessEnv} env in which npm knows the registry of the rehearsal, and no other
 */
export async function publish(folder, env) {
  const manifest = path.join(folder, 'package.json')
  const text = JSON.parse(fs.readFileSync(manifest, 'utf8'))
  const repository = text.repository || 'https://github.com/postern/postern'
  fs.writeFileSync(manifest, `${JSON.stringify({ ...text, repository }, undefined, 2)}\n`)
  const { origin, pathname } = new URL(repository)
  const commit = await must(folder, 'git', ['rev-parse', 'HEAD'])
  // As the workflow does: not through run.mjs, which would install again, and with pnpm on the PATH, which changesets runs.
  await must(folder, process.execPath, [path.join('scripts', 'publish.mjs')], {
    env: {
      ...withAuthor(env),
      PATH: [path.join(folder, 'toolchain', 'node_modules', '.bin'), env.PATH].join(path.delimiter),
      GITHUB_SERVER_URL: origin,
      GITHUB_REPOSITORY: pathname.slice(1),
      GITHUB_SHA: commit.trim(),
      NPM_CONFIG_PROVENANCE: 'false'
    }
  })
}

/** The release workflow has an author for its commits and tags; an empty home has none. */
const withAuthor = (env) => ({
  ...env,
  ...Object.fromEntries(
    ['AUTHOR', 'COMMITTER'].flatMap((role) => [
      [`GIT_${role}_NAME`, 'release'],
      [`GIT_${role}_EMAIL`, 'release@example.invalid']
    ])
  )
})
