import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { packages, read, sourcesOf } from './workspace.js'

const folder = 'packages/core/src/'
const signalsFile = `${folder}signals.ts`
const core = packages.find((each) => each.folder === 'core')
const sources = (core === undefined ? [] : sourcesOf(core)).map(
  (file) => [file.slice(folder.length), read(file)] as const
)

/** Returns the names of the files that a sentence of a docstring lists: `Emitted by run.ts, mapping/.` */
const listedIn = (text: string, verb: string): readonly string[] =>
  (new RegExp(`${verb} by ([^:]*?)\\.(?:\\s|$)`).exec(text)?.[1] ?? '')
    .replace(/, for .*/s, '')
    .split(',')
    .map((name) => name.trim())

/** Returns the files that call a method of the bus with a signal; a folder that is listed stands for its files. */
const callersOf = (method: string, signal: string, listed: readonly string[]): readonly string[] => {
  const files = sources.filter(([, text]) => text.includes(`bus.${method}('${signal}'`)).map(([file]) => file)
  return [...new Set(files.map((file) => listed.find((name) => name.endsWith('/') && file.startsWith(name)) ?? file))]
}

function signals(): readonly (readonly [name: string, text: string])[] {
  const source = ts.createSourceFile(signalsFile, read(signalsFile), ts.ScriptTarget.Latest, true)
  return source.statements
    .filter(ts.isInterfaceDeclaration)
    .flatMap(({ members }) => [...members])
    .map((member) => [
      member.name?.getText() ?? '',
      ts
        .getJSDocCommentsAndTags(member)
        .map((each) => ts.getTextOfJSDocComment(each.comment) ?? '')
        .join(' ')
    ])
}

describe('the signals of core', () => {
  it('the file of the signals is read', () => {
    expect(signals().length).toBeGreaterThan(10)
  })

  it.each(signals())('the signal %s names the files that emit it, and those that hear it', (name, text) => {
    for (const [verb, method] of [
      ['Emitted', 'emit'],
      ['Heard', 'on']
    ] as const) {
      const listed = listedIn(text, verb)
      expect({ [verb]: listed.toSorted() }).toEqual({ [verb]: callersOf(method, name, listed).toSorted() })
    }
  })
})
