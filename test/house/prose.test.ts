import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { entriesOf, packages, read, root, sourcesOf } from './workspace.js'

/** Persons without a name. The agent is the router, the caller, the peer, the application. */
const persons = /\b(?:nobody|somebody|anybody|everybody|whoever|whomever|someone|anyone|no one|who|whose|whom)\b/gi
/** Bounds are named `maxX` and `minX`. */
const bounds = /\b(?:most|least)[A-Z]\w*/g

/** What may stay, and why. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  // Options of `postern tunnel`, which are part of the command line.
  'packages/cli/src/commands/tunnel/command.ts': ['mostPerPeer', 'mostPerPeer', 'mostPerPeer']
}

const linesOf = (file: string): readonly string[] => readFileSync(join(root, file), 'utf8').split('\n')

function findings(file: string, pattern: RegExp): readonly string[] {
  const left = [...(exceptions[file] ?? [])]
  return linesOf(file).flatMap((line, index) =>
    [...line.matchAll(pattern)].flatMap(([word]) => {
      const excepted = left.indexOf(word)
      if (excepted !== -1) left.splice(excepted, 1)
      return excepted === -1 ? [`${file}:${index + 1}: ${word}`] : []
    })
  )
}

describe('the prose of the packages', () => {
  it.each(packages.map((each) => [each.folder, each] as const))('the sources of %s name every agent', (_, each) => {
    expect(sourcesOf(each).flatMap((file) => findings(file, persons))).toEqual([])
  })

  it.each(packages.map((each) => [each.folder, each] as const))(
    'the sources of %s call their bounds max and min',
    (_, each) => {
      expect(sourcesOf(each).flatMap((file) => findings(file, bounds))).toEqual([])
    }
  )

  it('the word list finds a person and a bound', () => {
    expect('Whoever asks'.match(persons)).toEqual(['Whoever'])
    expect('mostPeers'.match(bounds)).toEqual(['mostPeers'])
  })
})

/** Where the names that a package exports are declared. */
function exportsOf(folder: string): readonly ts.Declaration[] {
  const entries = entriesOf({ folder })
  const program = ts.createProgram(entries, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    noLib: true,
    types: []
  })
  const checker = program.getTypeChecker()
  const symbols = entries.flatMap((entry) => {
    const source = program.getSourceFile(entry)
    const module = source === undefined ? undefined : checker.getSymbolAtLocation(source)
    if (module === undefined) throw new Error(`there is no built ${entry}`)
    return checker.getExportsOfModule(module)
  })
  return symbols.flatMap((symbol) => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
    // Of overloads the first one has the docstring.
    const [declaration] = target.declarations ?? []
    return declaration !== undefined && declaration.getSourceFile().fileName.includes(`packages/${folder}/dist`)
      ? [declaration]
      : []
  })
}

describe('the docstrings of the packages', () => {
  it.each(packages.map(({ folder }) => folder))('every export of %s has a docstring', (folder) => {
    const bare = exportsOf(folder)
      .filter((declaration) => {
        const holder = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
        return ts.getJSDocCommentsAndTags(holder).length === 0
      })
      .map((declaration) => ts.getNameOfDeclaration(declaration)?.getText() ?? '?')
    expect(bare).toEqual([])
  })

  /** The codes themselves, or the verb that has the same ones. */
  const codes = /`[A-Z]+(?:_[A-Z]+)*`|codes\s(?:\*\s)?of (?:`map`|`forward`|the call that granted the lease)/
  it.each(['map', 'undo', 'renew', 'release', 'reserve', 'forward', 'verify', 'observe', 'upgrade'])(
    'the verb %s says with which codes it rejects',
    (verb) => {
      const source = ts.createSourceFile(
        'contract.ts',
        read('packages/interface/src/contract.ts'),
        ts.ScriptTarget.Latest,
        true
      )
      const texts: string[] = []
      const visit = (node: ts.Node): void => {
        if (ts.isMethodSignature(node) && node.name.getText() === verb)
          texts.push(
            ts
              .getJSDocCommentsAndTags(node)
              .map((each) => each.getText())
              .join(' ')
          )
        ts.forEachChild(node, visit)
      }
      visit(source)
      expect(texts.length).toBeGreaterThan(0)
      for (const text of texts) expect(text).toMatch(codes)
    }
  )
})
