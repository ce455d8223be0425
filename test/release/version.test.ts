import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'

const script = join(import.meta.dirname, '..', '..', 'scripts', 'version.mjs')

interface Package {
  readonly version: string
  readonly dependencies?: readonly string[]
}

const early: Readonly<Record<string, Package>> = {
  '@postern/interface': { version: '0.1.0' },
  '@postern/core': { version: '0.1.0', dependencies: ['@postern/interface'] },
  '@postern/pcp': { version: '0.1.0', dependencies: ['@postern/interface'] },
  '@postern/runtime': { version: '0.1.0', dependencies: ['@postern/core', 'other'] },
  '@postern/node': { version: '0.1.0', dependencies: ['@postern/runtime'] },
  '@postern/net': { version: '0.1.0' }
}

/**
 * Runs the script on packages with these changesets, and with a `changeset` that only prints its arguments. Returns the changesets that
 * were written.
 */
function write(packages: Readonly<Record<string, Package>>, ...headers: readonly string[]): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'postern-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const put = (file: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text, { mode })
  }
  for (const [name, { version, dependencies = [] }] of Object.entries(packages)) {
    const ranges = Object.fromEntries(dependencies.map((each) => [each, 'workspace:^']))
    put(
      `packages/${name.replace('@postern/', '')}/package.json`,
      JSON.stringify({ name, version, dependencies: ranges })
    )
  }
  for (const [index, header] of headers.entries()) put(`.changeset/${index}.md`, `---\n${header}\n---\n\nA change.\n`)
  put('node_modules/.bin/changeset', '#!/bin/sh\necho "changeset $@"\n', 0o755)
  cpSync(script, join(folder, 'scripts', 'version.mjs'))
  const run = spawnSync(process.execPath, [join(folder, 'scripts', 'version.mjs')], { encoding: 'utf8' })
  expect(run).toMatchObject({ status: 0, stdout: 'changeset version\n', stderr: '' })
  return ['interface', 'core'].flatMap((name) => {
    const file = join(folder, '.changeset', `takes-the-next-${name}.md`)
    return existsSync(file) ? (readFileSync(file, 'utf8').split('---\n')[1]?.trimEnd().split('\n') ?? []) : []
  })
}

it.skipIf(process.platform === 'win32').each([
  ['a patch of core', ["'@postern/core': patch"], []],
  ['a breaking change of another package', ["'@postern/net': minor"], []],
  ['a breaking core', ["'@postern/core': minor"], ["'@postern/node': minor", "'@postern/runtime': minor"]],
  [
    'a breaking core, and a package with a minor version of its own',
    ["'@postern/core': patch", "'@postern/core': minor\n'@postern/runtime': minor"],
    ["'@postern/node': minor"]
  ],
  [
    'a breaking contract',
    ["'@postern/interface': minor"],
    ["'@postern/core': minor", "'@postern/node': minor", "'@postern/pcp': minor", "'@postern/runtime': minor"]
  ]
])('the packages that depend on it break with it: %s', (_, headers, written) => {
  expect(write(early, ...headers).toSorted()).toEqual(written)
})

it.skipIf(process.platform === 'win32')('from 1.0 on only a major version breaks', () => {
  const late = Object.fromEntries(Object.entries(early).map(([name, each]) => [name, { ...each, version: '1.2.3' }]))
  expect(write(late, "'@postern/core': minor")).toEqual([])
  expect(write(late, "'@postern/core': major").toSorted()).toEqual([
    "'@postern/node': major",
    "'@postern/runtime': major"
  ])
})
