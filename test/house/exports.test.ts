import ts from 'typescript'
import { expect, it } from 'vitest'
import { compilerOptions, entriesOf, packages } from './workspace.js'

const modules = packages.flatMap((each) =>
  entriesOf(each).map((entry) => {
    const subpath = /\/dist\/(.*)index\.d\.ts$/.exec(entry.replaceAll('\\', '/'))?.[1] ?? ''
    return { name: `${each.manifest.name}/${subpath}`.replace(/\/$/, ''), entry }
  })
)
const program = ts.createProgram(
  modules.map(({ entry }) => entry),
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
it.each(modules)('$name exports the same names as before', ({ entry }) => {
  const source = program.getSourceFile(entry)
  const module = source && checker.getSymbolAtLocation(source)
  const exported = module === undefined ? [] : checker.getExportsOfModule(module)
  const lines = exported.map((symbol) => `${kindOf(symbol)} ${symbol.name}`).toSorted()
  expect(lines).toMatchSnapshot()
  expect(lines.length).toBeGreaterThan(0)
  expect(lines.filter((line) => line.startsWith('something else'))).toEqual([])
})
