import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { changes, modules, tell } from '../../scripts/api.mjs'
import { entriesOf, packages, root } from './workspace.js'

type Change = ReturnType<typeof changes>[number]

/** The tests read every package in one program of TypeScript, which takes seconds on a slow machine. */
const timeout = 60_000

describe('the API reports', () => {
  let found: readonly Change[] = []
  beforeAll(() => {
    found = changes()
  }, timeout)

  it.each(modules())('the public signatures of $name are those of $report', ({ report }) => {
    expect(found.filter((each) => each.report === report).map(tell)).toEqual([])
  })

  it('there is a report for every module that a package exports, and no other', () => {
    const entries = packages.flatMap(entriesOf).map((file) => file.slice(root.length + 1).replaceAll('\\', '/'))
    expect(modules().map(({ types }) => types)).toEqual(entries)
    expect(found.filter(({ text }) => text === undefined).map(({ report }) => report)).toEqual([])
  })
})

describe('a changed signature', () => {
  const before = {
    'packages/a/package.json': JSON.stringify({
      name: '@x/a',
      version: '0.0.0',
      exports: { '.': { types: './dist/index.d.ts' }, './server': { types: './dist/server.d.ts' } }
    }),
    'packages/a/dist/index.d.ts': `
      import type { Inner } from './inner.js'
      /** Opens. */
      export declare function open(options?: Options): Promise<Inner<string>>
      /** What it takes. */
      export interface Options { readonly port?: number }
      /** How many there are at most. */
      export declare const maxPorts = 8
      export {}`,
    'packages/a/dist/inner.d.ts': `
      import type { Deeper } from './deeper.js'
      export interface Inner<T extends string> { readonly value: T; readonly deeper: Deeper<number> }`,
    'packages/a/dist/deeper.d.ts': 'export type Deeper<N extends number | bigint> = { readonly n: N }\n',
    'packages/a/dist/server.d.ts': '/** Serves. */\nexport declare function serve(): void\n'
  }

  /** Returns the changes of a repository with one package, whose reports are accepted, after these files have changed. */
  function after(files: Readonly<Record<string, string>>): readonly Change[] {
    const repository = mkdtempSync(join(tmpdir(), 'postern-'))
    onTestFinished(() => rmSync(repository, { recursive: true }))
    const write = (file: string, text: string): void => {
      mkdirSync(dirname(join(repository, file)), { recursive: true })
      writeFileSync(join(repository, file), text)
    }
    for (const [file, text] of Object.entries(before)) write(file, text)
    for (const { report, text } of changes(repository)) if (text !== undefined) write(report, text)
    expect(changes(repository)).toEqual([])
    for (const [file, text] of Object.entries(files)) write(file, text)
    return changes(repository)
  }

  const edit = (file: keyof typeof before, from: string, to: string): Readonly<Record<string, string>> => {
    expect(before[file]).toContain(from)
    return { [file]: before[file].replace(from, to) }
  }

  it.each([
    ['a parameter', edit('packages/a/dist/index.d.ts', 'options?: Options', 'options: Options'), 'function open'],
    ['the type of an option', edit('packages/a/dist/index.d.ts', 'port?: number', 'port?: string'), 'port?: string'],
    ['the value of a constant', edit('packages/a/dist/index.d.ts', 'maxPorts = 8', 'maxPorts = 9'), 'maxPorts = 9'],
    [
      'a bound of a type that is reached only',
      edit('packages/a/dist/deeper.d.ts', 'number | bigint', 'number'),
      'Deeper<N extends number>'
    ]
  ])('%s that changes is found, with its line', { timeout }, (_, files, line) => {
    const found = after(files)
    expect(found.map(({ report }) => report)).toEqual(['packages/a/etc/a.api.md'])
    expect(found.map(tell).join('\n')).toMatch(/^The public signatures of @x\/a changed; .*"npm run api"/)
    expect(found.flatMap(({ lines }) => lines).filter((each) => each.startsWith('+'))).toEqual([
      expect.stringContaining(line)
    ])
  })

  it('a comment that changes is no change of signatures', { timeout }, () => {
    expect(after(edit('packages/a/dist/index.d.ts', 'Opens.', 'Opens a port.'))).toEqual([])
  })

  it('a module that is no longer exported is found by the report that it leaves behind', { timeout }, () => {
    const found = after(edit('packages/a/package.json', ',"./server":{"types":"./dist/server.d.ts"}', ''))
    expect(found).toMatchObject([{ name: 'a-server', report: 'packages/a/etc/a-server.api.md', text: undefined }])
  })

  it('a type that is reached only and gone is found', { timeout }, () => {
    const found = after(edit('packages/a/dist/index.d.ts', './inner.js', './absent.js'))
    expect(found.flatMap(({ lines }) => lines)).toContainEqual(expect.stringMatching(/^-interface Inner</))
  })
})
