// Publishes the packages that have a new version. Only the release workflow runs this: published files name the commit, which
// only the workflow knows, and the repository, which package.json of the root names.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_SHA: commit } = process.env
const { repository: url = '' } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))

const refusal = refuse()
if (refusal === undefined) {
  run(process.execPath, [path.join(root, 'scripts', 'name-repository.mjs'), url, '--ref', commit])
  run(path.join(root, 'node_modules', '.bin', 'changeset'), ['publish'])
} else {
  console.error(refusal)
  process.exitCode = 2
}

/** Why nothing is published, in one sentence. */
function refuse() {
  if (!server || !repository || !commit) {
    return 'Packages are published by the release workflow only: it knows the repository and the commit.'
  }
  if (url === '') {
    return 'Write the address of the repository, such as https://github.com/owner/name, into "repository" of package.json: the packages are published with it.'
  }
  const here = `${server}/${repository}`
  return url === here
    ? undefined
    : `package.json names ${url}, but this release runs in ${here}, and npm compares them.`
}

function run(command, args) {
  const { error, status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}
