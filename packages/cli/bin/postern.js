#!/usr/bin/env node
import { stat } from 'node:fs/promises'
import module from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

const major = Number.parseInt(process.versions.node, 10)
if (major < 22) {
  process.stderr.write(
    `postern needs Node.js 22 or later, and this is Node.js ${process.versions.node}: https://nodejs.org\n`
  )
  process.exit(1)
}

/** A home on a disk that is away would hold up the start for ever: Node reads its cache synchronously. */
const answerMs = 200

/** Whether the disk of a folder answers, whatever it answers. */
async function answers(folder) {
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, answerMs, false)
  })
  const looked = stat(folder).then(
    () => true,
    () => true
  )
  return Promise.race([looked, late]).finally(() => clearTimeout(timer))
}

try {
  const { XDG_CACHE_HOME: named = '' } = process.env
  const root = isAbsolute(named) ? named : join(homedir(), '.cache')
  // Neither the shared temporary folder nor the working folder, where another user of this machine could put code that
  // would be run.
  if (isAbsolute(root) && (await answers(root))) module.enableCompileCache?.(join(root, 'postern'))
} catch {
  // It starts slower.
}

const { run } = await import('../dist/index.js')
await run(process.argv.slice(2))
