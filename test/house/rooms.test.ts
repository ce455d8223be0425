import { readdirSync } from 'node:fs'
import { join, posix } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { type Package, packages, read, root, sourcesOf } from './workspace.js'

/** The folder of a file below `src`, or the file itself where it stands directly there. */
function roomOf(file: string): string {
  const [first = '', ...rest] = file.replace(/^packages\/[^/]+\/src\//, '').split('/')
  return rest.length === 0 ? first : `${first}/`
}

/** Which folders and top-level files of a package import which other ones, with an import as an example. */
function arrowsOf(each: Package): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const arrows = new Map<string, Map<string, string>>()
  for (const file of sourcesOf(each)) {
    for (const { fileName } of ts.preProcessFile(read(file)).importedFiles) {
      if (!fileName.startsWith('.')) continue
      const target = posix.join(posix.dirname(file), fileName).replace(/\.js$/, '.ts')
      const [from, to] = [roomOf(file), roomOf(target)]
      if (from === to) continue
      const targets = arrows.get(from) ?? new Map<string, string>()
      arrows.set(from, targets.set(to, `${file} imports ${fileName}`))
    }
  }
  return arrows
}

function isReachable(arrows: ReturnType<typeof arrowsOf>, from: string, to: string): boolean {
  const seen = new Set<string>()
  const open = [from]
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at === to) return true
    if (seen.has(at)) continue
    seen.add(at)
    open.push(...(arrows.get(at)?.keys() ?? []))
  }
  return false
}

/** Returns the folders below a folder of a package, at any depth. */
const foldersIn = ({ folder }: Package, part: 'src' | 'test'): readonly string[] =>
  readdirSync(join(root, 'packages', folder, part), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => posix.relative(join(root, 'packages', folder, part), join(entry.parentPath, entry.name)))
    .filter((each) => !each.split('/').includes('node_modules'))
    .toSorted()

/** Folders of tests that are not folders of `src`: strategies that each break one rule of the conformance suite. */
const otherTestFolders: ReadonlySet<string> = new Set(['conformance/broken'])

describe('the folders of a package', () => {
  it.each(packages.map((each) => [each.folder, each] as const))(
    'the folders of %s import each other downwards only',
    (_, each) => {
      const arrows = arrowsOf(each)
      const upwards = [...arrows].flatMap(([from, targets]) =>
        [...targets].flatMap(([to, example]) => (isReachable(arrows, to, from) ? [example] : []))
      )
      expect(upwards).toEqual([])
    }
  )

  it.each(packages.map((each) => [each.folder, each] as const))(
    'the tests of %s are in the folders of what they test, and their programs and helpers in support/',
    (_, each) => {
      const allowed = new Set([...foldersIn(each, 'src'), 'support'])
      const others = foldersIn(each, 'test').filter((folder) => !allowed.has(folder))
      expect(others.map((folder) => `${each.folder}/${folder}`).filter((name) => !otherTestFolders.has(name))).toEqual(
        []
      )
    }
  )

  it('the map of core for contributors names every folder of core', () => {
    const page = read('docs/contributing/core.md')
    const core = packages.filter(({ folder }) => folder === 'core').flatMap((each) => foldersIn(each, 'src'))
    expect(core.filter((folder) => !page.includes(`| \`${folder}/\` |`))).toEqual([])
  })
})
