import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { addCopy } from '../src/one-copy.js'

const core = join(import.meta.dirname, '..')

/** Imports modules in a process of its own. Returns its standard error output. */
function importing(...files: readonly string[]): string {
  const text = files.map((file) => `await import(${JSON.stringify(file)})`).join('\n')
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', text], { encoding: 'utf8' })
  expect(status).toBe(0)
  return stderr
}

it('a process that imports a second copy of core is warned, with the places of both', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const name of ['dist', 'package.json']) cpSync(join(core, name), join(folder, name), { recursive: true })
  symlinkSync(join(core, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const [one, other] = [core, folder].map((each) => join(each, 'dist', 'index.js'))
  expect(importing(one ?? '', one ?? '')).toBe('')
  const said = importing(one ?? '', other ?? '')
  expect(said).toMatch(
    /\[POSTERN_TWO_CORES\] Warning: Two copies of @postern\/core are loaded, file:.* and file:.*: update/
  )
  expect(said).toContain('`npm ls @postern/core`')
})

it('one copy that is loaded again, and a copy whose place is not known, are no second copy', () => {
  const copies = new Set<string>()
  expect(addCopy(copies, 'file:///a/index.js')).toBeUndefined()
  expect(addCopy(copies, 'file:///a/index.js')).toBeUndefined()
  expect(addCopy(copies, '')).toBeUndefined()
  expect(addCopy(copies, 'file:///b/index.js')).toContain('file:///a/index.js and file:///b/index.js')
})
