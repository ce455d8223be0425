// Takes the changesets: new versions and CHANGELOGs. The release workflow runs it for its pull request, and a rehearsal does.
//
// The changesets from before the first release of a package compare it with versions that were never published. Its CHANGELOG
// says instead that it is the first one, and what the package is.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
const folders = readdirSync(path.join(root, 'packages')).map((name) => path.join(root, 'packages', name))
const manifestOf = (folder) => JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))

const unreleased = folders.filter((folder) => manifestOf(folder).version === '0.0.0')
const changeset = path.join(root, 'node_modules', '.bin', 'changeset')
const { error, status } = spawnSync(changeset, ['version'], {
  cwd: root,
  stdio: 'inherit',
  shell: process.platform === 'win32'
})
if (error) throw error
process.exitCode = status ?? 1
if (status === 0) unreleased.forEach(introduce)

function introduce(folder) {
  const { name, version, description } = manifestOf(folder)
  if (version === '0.0.0') return // no changeset names it
  const text = `First release. ${description.replace(/\.$/, '')}. Its [README](README.md) says how to use it, and what it cannot do.`
  writeFileSync(path.join(folder, 'CHANGELOG.md'), `# ${name}\n\n## ${version}\n\n${text}\n`)
}
