// Writes the next versions and CHANGELOGs: what `changeset version` does, before that the changesets of packages that depend on a breaking
// change, and after it the first CHANGELOG of a package. Only the release workflow runs this, and its rehearsal.
//
// Changesets gives a patch to a package whose dependency leaves its range. Then the range ^0.1.0 of a user who has core too takes a
// package that needs the next core, beside the core of the user. Therefore what depends on a new contract or a new core breaks with it.
//
// The changesets from before the first release of a package compare it with versions that were never published. Its CHANGELOG says
// instead that it is the first one, and what the package is.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
const changesets = path.join(root, '.changeset')

/** The packages of which a program should have one copy. */
const single = ['@postern/interface', '@postern/core']

const manifests = new Map(
  readdirSync(path.join(root, 'packages'))
    .map((name) => path.join(root, 'packages', name, 'package.json'))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')))
    .filter((manifest) => manifest.private !== true)
    .map((manifest) => [manifest.name, manifest])
)

const bumps = readBumps()
const lines = [...manifests.keys()].flatMap((name) => {
  const cause = single.find((each) => each !== name && isBroken(each) && needs(name, each))
  return cause === undefined || isBroken(name) ? [] : [{ name, cause }]
})
for (const cause of single) writeChangeset(cause)
const unreleased = [...manifests.values()].filter(({ version }) => version === '0.0.0')
const { error, status } = spawnSync(path.join(root, 'node_modules', '.bin', 'changeset'), ['version'], {
  cwd: root,
  stdio: 'inherit',
  shell: process.platform === 'win32'
})
if (error) throw error
process.exitCode = status ?? 1
if (status === 0) {
  unreleased.forEach(introduce)
  announceRelease()
}

/** Returns the kinds of change that the changesets name for each package. */
function readBumps() {
  const found = new Map()
  for (const file of readdirSync(changesets).filter((each) => each.endsWith('.md'))) {
    const [, header = ''] = /^---\r?\n([^]*?)\r?\n---/.exec(readFileSync(path.join(changesets, file), 'utf8')) ?? []
    for (const [, name, kind] of header.matchAll(/^['"]?([@\w/-]+)['"]?: *(major|minor|patch)\r?$/gm))
      found.set(name, [...(found.get(name) ?? []), kind])
  }
  return found
}

/** Whether the next version leaves the range of npm: a minor one does below 1.0, as semver says. */
function isBroken(name) {
  const kinds = bumps.get(name) ?? []
  return kinds.includes('major') || (isEarly(name) && kinds.includes('minor'))
}

function isEarly(name) {
  return manifests.get(name)?.version.startsWith('0.') ?? false
}

function needs(name, other) {
  const dependencies = Object.keys(manifests.get(name)?.dependencies ?? {})
  return dependencies.includes(other) || dependencies.some((each) => manifests.has(each) && needs(each, other))
}

function writeChangeset(cause) {
  const names = lines.filter((line) => line.cause === cause).map(({ name }) => name)
  if (names.length === 0) return
  const header = names.map((name) => `'${name}': ${isEarly(name) ? 'minor' : 'major'}`).join('\n')
  const text = `Takes the next \`${cause}\`, which has a breaking change. Update all packages of Postern together.`
  const file = path.join(changesets, `takes-the-next-${path.basename(cause)}.md`)
  writeFileSync(file, `---\n${header}\n---\n\n${text}\n`)
}

/** Writes the CHANGELOG of a first release. */
function introduce({ name, description }) {
  const folder = path.join(root, 'packages', path.basename(name))
  const { version } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
  if (version === '0.0.0') return // no changeset names it
  const text = `First release. ${description.replace(/\.$/, '')}. Its [README](README.md) says how to use it, and what it cannot do.`
  writeFileSync(path.join(folder, 'CHANGELOG.md'), `# ${name}\n\n## ${version}\n\n${text}\n`)
}

/** Takes the remark that there is no release out of the README. */
function announceRelease() {
  const readme = path.join(root, 'README.md')
  if (!existsSync(readme)) return
  writeFileSync(readme, readFileSync(readme, 'utf8').replace('There is no release yet. After the first one:\n\n', ''))
}
