// Publishes the packages that have a new version. Only the release workflow runs this: published files name the commit, which
// only the workflow knows, and the repository, which package.json of the root names.
//
// npm takes the identity of the workflow instead of a token (trusted publishing). It tries that first, and falls back to a token,
// which a package needs that npm does not know yet.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_SHA: commit, NPM_TOKEN: token } = process.env
const { repository: url = '' } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))

/** The first npm that publishes with the identity of a workflow. */
const minNpm = [11, 5, 1]

const refusal = refuse()
if (refusal === undefined) process.exitCode = publish()
else {
  console.error(refusal)
  process.exitCode = 2
}

/** Returns the exit code. */
function publish() {
  const script = path.join(root, 'scripts', 'name-repository.mjs')
  const changeset = path.join(root, 'node_modules', '.bin', 'changeset')
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-npm-'))
  try {
    const code = run(process.execPath, [script, url, '--ref', commit])
    return code === 0 ? run(changeset, ['publish'], token ? { NPM_CONFIG_USERCONFIG: configure(folder) } : {}) : code
  } finally {
    rmSync(folder, { recursive: true })
  }
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
  if (url !== here) return `package.json names ${url}, but this release runs in ${here}, and npm compares them.`
  return process.env.ACTIONS_ID_TOKEN_REQUEST_URL === undefined ? undefined : refuseNpm()
}

/** Why this npm cannot use the identity of the workflow. pnpm leaves the upload to it. */
function refuseNpm() {
  const { stdout, error } = spawnSync('npm', ['--version'], { encoding: 'utf8', shell: process.platform === 'win32' })
  const version = error ? 'unknown' : stdout.trim()
  const parts = version.split('.').map(Number)
  const [differs = 0] = minNpm.flatMap((part, index) => (parts[index] === part ? [] : [parts[index] - part]))
  return differs >= 0 ? undefined : `npm ${version} cannot publish without a token: 11.5.1 or later is needed.`
}

/** Writes the configuration of npm with the token, which npm itself takes from the environment. Returns the file. */
function configure(folder) {
  const file = path.join(folder, '.npmrc')
  writeFileSync(file, '//registry.npmjs.org/:_authToken=${NPM_TOKEN}\n', { mode: 0o600 })
  return file
}

function run(command, args, env = {}) {
  const { error, status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
  if (error) throw error
  return status ?? 1
}
