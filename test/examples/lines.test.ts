import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const folder = join(import.meta.dirname, '..', '..', 'examples')
const examples = readdirSync(folder)

it('the README of the repository lists every example', () => {
  const readme = readFileSync(join(folder, '..', 'README.md'), 'utf8')
  expect(examples.filter((name) => !readme.includes(`(examples/${name}`))).toEqual([])
})

describe.each(examples)('examples/%s', (name) => {
  const files = readdirSync(join(folder, name)).filter((file) => /\.[jt]s$/.test(file))
  const read = (file: string): string => readFileSync(join(folder, name, file), 'utf8')

  it('the example has under 80 lines a file', () => {
    expect(files.filter((file) => read(file).trimEnd().split('\n').length >= 80)).toEqual([])
    expect(files.length).toBeGreaterThan(0)
  })

  it('the example imports published names and its own files, and declares what it imports', () => {
    const { dependencies = {} } = JSON.parse(read('package.json')) as { dependencies?: Record<string, string> }
    const imported = files
      .flatMap((file) => ts.preProcessFile(read(file)).importedFiles.map(({ fileName }) => fileName))
      .filter((specifier) => !builtinModules.includes(specifier.replace(/^node:/, '')))
    const own = imported.filter((specifier) => specifier.startsWith('.'))
    expect(own.filter((specifier) => !existsSync(join(folder, name, specifier)))).toEqual([])
    const named = imported.filter((specifier) => !specifier.startsWith('.'))
    expect([...new Set(named)].toSorted()).toEqual(Object.keys(dependencies).toSorted())
  })
})
