import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { referenceMapper } from '@postern/testkit'
import { expect, it } from 'vitest'
import { conformance } from '../src/index.js'
import { referenceSubject } from './reference-subject.js'

const root = join(import.meta.dirname, '..', '..', '..')
const read = (...path: readonly string[]): string => readFileSync(join(root, ...path), 'utf8')
const readme = read('packages', 'conformance', 'README.md')

/** Returns the first code block in this language after a heading or sentence. */
const blockAfter = (text: string, mark: string, language: string): string =>
  text.split(mark)[1]?.split(`\`\`\`${language}\n`)[1]?.split('```')[0] ?? ''

it('the README lists every test', async () => {
  const tests = await conformance(referenceSubject(referenceMapper))
  const kinds = (abilities: readonly string[]): string => (abilities.length === 6 ? 'all' : abilities.join(', '))
  const rows = tests.map(({ id, name, abilities }) => `| \`${id}\` | ${kinds(abilities)} | ${name} |`)
  const table = ['| id | for | what is tested |', '|---|---|---|', ...rows].join('\n')
  expect(readme.split('<!-- tests -->')[1]?.split('<!-- /tests -->')[0]?.trim()).toBe(table)
})

it('the vitest example is the conformance test of a strategy', () => {
  const ours = read('packages', 'nat-pmp', 'test', 'conformance.test.ts')
    .replace(/'[./]*\/conformance\/src\/index\.js'/, "'@postern/conformance'")
    .replace("'../src/index.js'", "'@postern/nat-pmp'")
  expect(blockAfter(readme, 'With vitest:', 'ts')).toBe(ours)
})

it('the node:test example runs with node:test', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-conformance-'))
  try {
    const built = (name: string): string => pathToFileURL(join(root, 'packages', name, 'dist', 'index.js')).href
    const code = blockAfter(readme, 'With node:test:', 'js').replace(/@postern\/([a-z-]+)/g, (_, name: string) =>
      built(name)
    )
    const file = join(folder, 'conformance.test.mjs')
    writeFileSync(file, code)
    const { status, stdout } = spawnSync(process.execPath, ['--test', '--test-reporter=tap', file], {
      encoding: 'utf8'
    })
    expect(stdout).toMatch(/# pass [1-9]/)
    expect(stdout).toMatch(/# skipped [1-9]/)
    expect(stdout).toMatch(/# fail 0/)
    expect(status).toBe(0)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it('the guide quotes the strategy of the template', () => {
  const quoted = blockAfter(read('docs', 'guides', 'write-a-strategy.md'), '## The strategy', 'ts')
  expect(quoted).toBe(read('templates', 'strategy', 'src', 'strategy.ts'))
})
