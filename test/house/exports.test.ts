import { join } from 'node:path'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { compilerOptions, packages, root } from './workspace.js'

const entry = (folder: string): string => join(root, 'packages', folder, 'dist', 'index.d.ts')
const program = ts.createProgram(
  packages.map(({ folder }) => entry(folder)),
  compilerOptions
)
const checker = program.getTypeChecker()

const kinds: readonly (readonly [ts.SymbolFlags, string])[] = [
  [ts.SymbolFlags.Class, 'class'],
  [ts.SymbolFlags.Function, 'function'],
  [ts.SymbolFlags.Variable, 'const'],
  [ts.SymbolFlags.Interface, 'interface'],
  [ts.SymbolFlags.TypeAlias, 'type']
]

function kindOf(symbol: ts.Symbol): string {
  const real = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
  return kinds.find(([flag]) => real.flags & flag)?.[1] ?? 'something else'
}

/** A change here affects the users of the package: it needs a changeset that says so. */
it.each(packages)('$manifest.name exports the same names as before', ({ folder }) => {
  const source = program.getSourceFile(entry(folder))
  const module = source && checker.getSymbolAtLocation(source)
  const exported = module === undefined ? [] : checker.getExportsOfModule(module)
  const lines = exported.map((symbol) => `${kindOf(symbol)} ${symbol.name}`).toSorted()
  expect(lines).toMatchSnapshot()
  expect(lines.length).toBeGreaterThan(0)
  expect(lines.filter((line) => line.startsWith('something else'))).toEqual([])
})
