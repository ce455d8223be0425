import { join } from 'node:path'
import ts from 'typescript'
import { compilerOptions, packages, root } from './workspace.js'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

const entryOf = (folder: string): string => join(root, 'packages', folder, 'dist', 'index.d.ts')
/** Created once, because it takes most of a second. */
const program = ts.createProgram(
  packages.map(({ folder }) => entryOf(folder)),
  compilerOptions
)

/** Returns the JSON schema of an exported type of a package in the plainest form: no references, descriptions or
 * limits. */
export function schemaOfType(folder: string, name: string): Json {
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(entryOf(folder))
  const module = source && checker.getSymbolAtLocation(source)
  const symbol = module && checker.getExportsOfModule(module).find((each) => each.name === name)
  if (symbol === undefined) throw new TypeError(`@postern/${folder} exports no ${name}`)
  const aliased = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
  return schemaOf(checker.getDeclaredTypeOfSymbol(aliased), checker)
}

function schemaOf(type: ts.Type, checker: ts.TypeChecker): Json {
  if (type.isUnion()) {
    // Without `undefined`: `required` says whether the field is optional.
    const present = type.types.filter((each) => (each.flags & ts.TypeFlags.Undefined) === 0)
    // The compiler keeps `boolean` as a union of its two values.
    if (present.every((each) => (each.flags & ts.TypeFlags.BooleanLiteral) !== 0)) return { type: ['boolean'] }
    return plainUnion(present.map((each) => schemaOf(each, checker)))
  }
  if (type.isStringLiteral() || type.isNumberLiteral()) return { enum: [type.value] }
  if (type.flags & ts.TypeFlags.Null) return { type: ['null'] }
  if (type.flags & ts.TypeFlags.String) return { type: ['string'] }
  if (type.flags & ts.TypeFlags.Number) return { type: ['number'] }
  if (checker.isArrayType(type)) {
    const [item] = checker.getTypeArguments(type as ts.TypeReference)
    if (item !== undefined) return { items: schemaOf(item, checker) }
  }
  const members = checker.getPropertiesOfType(type)
  if (members.length === 0) throw new TypeError(`no schema for ${checker.typeToString(type)}`)
  const isRequired = (member: ts.Symbol): boolean => (member.flags & ts.SymbolFlags.Optional) === 0
  return {
    properties: Object.fromEntries(
      members.map((member) => [member.name, schemaOf(checker.getTypeOfSymbol(member), checker)])
    ),
    required: members
      .filter(isRequired)
      .map(({ name }) => name)
      .toSorted()
  }
}

/** Returns a handwritten schema in the same form. Objects are expected to be closed. */
export function plain(schema: Json, whole: Json = schema): Json {
  const at = (value: Json | undefined, key: string): Json | undefined =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as { readonly [key: string]: Json })[key]
      : undefined
  const reference = at(schema, '$ref')
  if (typeof reference === 'string') {
    const steps = reference.split('/').slice(1)
    const target = steps.reduce<Json | undefined>((value, step) => at(value, step), whole)
    if (target === undefined) throw new TypeError(`${reference} leads nowhere`)
    return plain(target, whole)
  }
  const [constant, values, any, properties, items, type] = [
    'const',
    'enum',
    'anyOf',
    'properties',
    'items',
    'type'
  ].map((key) => at(schema, key))
  if (constant !== undefined) return { enum: [constant] }
  if (Array.isArray(values)) return plainUnion(values.map((value) => ({ enum: [value] })))
  if (Array.isArray(any)) return plainUnion(any.map((each) => plain(each, whole)))
  if (items !== undefined) return { items: plain(items, whole) }
  if (typeof properties === 'object' && properties !== null) {
    if (at(schema, 'additionalProperties') !== false) throw new TypeError(`open object: ${JSON.stringify(schema)}`)
    const required = at(schema, 'required')
    return {
      properties: Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, plain(each, whole)])),
      required: Array.isArray(required) ? required.map(String).toSorted() : []
    }
  }
  return plainUnion([type].flat().map((each) => ({ type: [each ?? null] })))
}

/** Merges literals and plain types into one list each; other parts stay beside them. */
function plainUnion(parts: readonly Json[]): Json {
  const collect = (key: 'enum' | 'type'): Json[] =>
    parts.flatMap((part) =>
      typeof part === 'object' && part !== null && key in part ? Object.values(part).flat() : []
    )
  const values = collect('enum')
  const types = collect('type')
  const rest = parts.filter((part) => typeof part === 'object' && part !== null && !('enum' in part || 'type' in part))
  const all = [
    ...(values.length > 0 ? [{ enum: values.toSorted(byText) }] : []),
    ...(types.length > 0 ? [{ type: types.toSorted(byText) }] : []),
    ...rest
  ]
  return all.length === 1 && all[0] !== undefined ? all[0] : { anyOf: all }
}

const byText = (one: Json, other: Json): number => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1)
