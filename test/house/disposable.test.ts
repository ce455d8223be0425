import ts from 'typescript'
import { expect, it } from 'vitest'
import { compilerOptions, entriesOf, packages } from './workspace.js'

const entries = packages.flatMap(entriesOf)
const program = ts.createProgram(entries, compilerOptions)
const checker = program.getTypeChecker()

/** The names of methods that end an object. */
const ends = new Set(['close', 'stop', 'destroy', 'release'])

/** Types with such a method that `await using` is not for, and the reason. */
const others: Readonly<Record<string, string>> = {
  FileLock: 'takeLock() may return a Holder, which cannot be disposed',
  ForwardLease: 'its owner is the traversal',
  Lease: 'its owner is the traversal',
  PortMappingGateway: 'its owner is @libp2p/upnp-nat'
}

function exportedTypes(): readonly ts.Symbol[] {
  const found = entries.flatMap((entry) => {
    const source = program.getSourceFile(entry)
    const module = source && checker.getSymbolAtLocation(source)
    return module === undefined ? [] : checker.getExportsOfModule(module)
  })
  const real = found.map((each) => (each.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each))
  return [...new Set(real)].filter(({ flags }) => flags & (ts.SymbolFlags.Interface | ts.SymbolFlags.Class))
}

/** Returns whether an object of a type ends with a method that returns a promise. */
function endsLater(type: ts.Type): boolean {
  return type
    .getProperties()
    .filter(({ name }) => ends.has(name))
    .flatMap((each) => checker.getTypeOfSymbol(each).getCallSignatures())
    .some((signature) => checker.getReturnTypeOfSignature(signature).symbol?.name === 'Promise')
}

const isDisposable = (type: ts.Type): boolean =>
  type.getProperties().some(({ name }) => name.startsWith('__@asyncDispose'))

it('every exported type that ends with a promise works with `await using`', () => {
  const ending = exportedTypes().filter((each) => endsLater(checker.getDeclaredTypeOfSymbol(each)))
  const names = ending.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['Exposure', 'Traversal', 'WitnessServer', 'StatusPage', 'Lab']))
  const without = ending.filter((each) => !isDisposable(checker.getDeclaredTypeOfSymbol(each))).map(({ name }) => name)
  expect(without.toSorted()).toEqual(Object.keys(others).toSorted())
})

it('the types of core need neither a newer lib nor those of Node.js', () => {
  const entry = entries.find((each) => /[\\/]core[\\/]dist[\\/]index\.d\.ts$/.test(each)) ?? expect.fail()
  const options: ts.CompilerOptions = {
    ...compilerOptions,
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
    types: [],
    skipLibCheck: false,
    noEmit: true
  }
  const messages = ts.getPreEmitDiagnostics(ts.createProgram([entry], options))
  expect(messages.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))).toEqual([])
}, 60_000)
