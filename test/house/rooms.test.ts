import { posix } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { type Package, packages, read, sourcesOf } from './workspace.js'

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
})
