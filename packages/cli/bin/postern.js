#!/usr/bin/env node
import { mkdir, stat } from 'node:fs/promises'
import module from 'node:module'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'

const major = Number.parseInt(process.versions.node, 10)
if (major < 22) {
  process.stderr.write(
    `postern needs Node.js 22 or later, and this is Node.js ${process.versions.node}: https://nodejs.org\n`
  )
  process.exit(1)
}

/** A home on a disk that is away would hold up the start for ever: Node reads its cache synchronously. In ms. */
const answerMs = 200

/**
 * Makes a folder, and those above it. Node's own `recursive` (enableCompileCache() has it, too) never ends where a folder above
 * exists and nothing can be made in it, as in /proc.
 */
async function makeFolder(folder) {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    if (error.code === 'EEXIST') return
    if (error.code !== 'ENOENT' || dirname(folder) === folder) throw error
    await makeFolder(dirname(folder))
    await mkdir(folder, { mode: 0o700 })
  }
}

/**
 * Resolves with whether the folder and the one above are of this user or root, and writable for no other. Under sudo, they may be in the
 * home of another user, whose code root would run. On Windows, which has no such owners, they are in the profile of the user.
 */
async function isOwn(folder) {
  if (process.geteuid === undefined) return true
  const found = await Promise.all([stat(folder), stat(dirname(folder))])
  return found.every(({ uid, mode }) => (uid === 0 || uid === process.geteuid()) && (mode & 0o022) === 0)
}

/** Resolves with whether the folder is there, and safe. False where its disk does not answer. */
async function isMade(folder) {
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, answerMs, false)
  })
  const made = makeFolder(folder).then(
    () => isOwn(folder).catch(() => false),
    () => false
  )
  return Promise.race([made, late]).finally(() => clearTimeout(timer))
}

try {
  const { XDG_CACHE_HOME: named = '' } = process.env
  const root = isAbsolute(named) ? named : join(homedir(), '.cache')
  // Neither the shared temporary folder nor the working folder, where another user of this machine could put code that
  // would be run.
  const folder = join(root, 'postern')
  if (isAbsolute(root) && (await isMade(folder))) module.enableCompileCache?.(folder)
} catch {
  // It starts slower.
}

const { run } = await import('../dist/index.js')
await run(process.argv.slice(2))
