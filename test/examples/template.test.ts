import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..', '..')
const template = join(root, 'templates', 'strategy')
/** As deep below the root as a package is, since the template names files of the root. */
const cache = join(root, '.cache')
let copy = ''

beforeAll(() => {
  mkdirSync(cache, { recursive: true })
  copy = mkdtempSync(join(cache, 'strategy-'))
  const left = new Set(['node_modules', 'dist', '.cache', '.turbo'])
  cpSync(template, copy, { recursive: true, filter: (file) => !left.has(basename(file)) })
  // What `pnpm install` would link for a copy in packages/. A junction needs no rights on Windows.
  symlinkSync(join(template, 'node_modules'), join(copy, 'node_modules'), 'junction')
})
afterAll(() => rmSync(copy, { recursive: true, force: true }))

/** Runs a program of the repository in the copy, without the environment of this test run. Returns what it prints. */
function run(program: string, ...args: readonly string[]): string {
  const file = join(root, 'node_modules', ...program.split('/'))
  const { PATH, SystemRoot } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args], {
    cwd: copy,
    encoding: 'utf8',
    env: { PATH, SystemRoot, NO_COLOR: '1' }
  })
  expect({ status, output: status === 0 ? '' : `${stdout}${stderr}` }).toEqual({ status: 0, output: '' })
  return stdout
}

describe('a copy of the template of a strategy', { timeout: 60_000 }, () => {
  it('a copy of the template compiles as strictly as the packages do, with its tests', () => {
    run('typescript/bin/tsc', '-p', '.')
    run('typescript/bin/tsc', '-p', 'test')
  })

  it('a copy of the template passes the conformance suite without a change', () => {
    const output = run('vitest/vitest.mjs', 'run', '--reporter=verbose')
    expect(output).toMatch(/✓ test\/conformance\.test\.ts > the contract > abort-undoes-map: /)
    expect(Number(/Tests +(\d+) passed/.exec(output)?.[1])).toBeGreaterThan(40)
  })
})
