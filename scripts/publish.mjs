// Publishes the packages that have a new version. Only the release workflow runs this: published files name the
// repository and the commit, which only the workflow knows.
import { spawnSync } from 'node:child_process'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_SHA: commit } = process.env

if (server && repository && commit) {
  const name = path.join(root, 'scripts', 'name-repository.mjs')
  run(process.execPath, [name, `${server}/${repository}`, '--ref', commit])
  run(path.join(root, 'node_modules', '.bin', 'changeset'), ['publish'])
} else {
  console.error('Packages are published by the release workflow only: it knows the repository and the commit.')
  process.exitCode = 2
}

function run(command, args) {
  const { error, status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}
