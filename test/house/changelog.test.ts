import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { root } from './workspace.js'

/** Takes the changesets of a repository with these files. Returns its folder. */
function takeChangesets(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const all = { 'pnpm-workspace.yaml': 'packages:\n  - packages/*\n', 'package.json': '{ "private": true }', ...files }
  for (const [file, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  for (const file of ['.changeset/config.json', '.changeset/changelog.mjs', 'scripts/version.mjs']) {
    cpSync(join(root, file), join(folder, file))
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const git = (...args: readonly string[]): void => {
    const { status } = spawnSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b.invalid', ...args], { cwd: folder })
    expect(status).toBe(0)
  }
  git('init', '--quiet', '--initial-branch=main')
  git('add', '.changeset', 'packages', 'package.json')
  git('commit', '--quiet', '--message=a')
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'scripts', 'version.mjs')], {
    cwd: folder,
    encoding: 'utf8'
  })
  expect({ status, stderr }).toMatchObject({ status: 0 })
  return folder
}

const manifest = (name: string, version: string, dependencies = {}): string =>
  JSON.stringify({ name, version, description: `The package ${name}`, dependencies })

it('the first CHANGELOG of a package says what it is, and later ones have the texts of the changesets', {
  timeout: 60_000
}, () => {
  const folder = takeChangesets({
    'packages/new/package.json': manifest('@x/new', '0.0.0'),
    'packages/idle/package.json': manifest('@x/idle', '0.0.0'),
    'packages/old/package.json': manifest('@x/old', '0.3.0', { '@x/new': 'workspace:^' }),
    'packages/old/CHANGELOG.md': '# @x/old\n\n## 0.3.0\n\nFirst release.\n',
    '.changeset/one.md': "---\n'@x/new': minor\n---\n\nNo longer what it was.\n",
    '.changeset/two.md': "---\n'@x/old': patch\n'@x/new': patch\n---\n\nA port is released.\n\nA lease is\nkept.\n"
  })
  const changelogOf = (name: string): string => readFileSync(join(folder, 'packages', name, 'CHANGELOG.md'), 'utf8')
  expect(changelogOf('new')).toBe(
    '# @x/new\n\n## 0.1.0\n\nFirst release. The package @x/new. Its [README](README.md) says how to use it, and what it cannot do.\n'
  )
  expect(changelogOf('old')).toBe(`# @x/old

## 0.3.1

### Patch Changes

- A port is released.

  A lease is
  kept.
- Updated dependencies: \`@x/new\` 0.1.0

## 0.3.0

First release.
`)
  expect(existsSync(join(folder, 'packages', 'idle', 'CHANGELOG.md'))).toBe(false)
})
