/** The kind of an option's value: a result of `typeof`, `array`, `signal` for an AbortSignal, or `any` if the caller
 * checks it. */
export type OptionKind = 'string' | 'number' | 'boolean' | 'function' | 'object' | 'array' | 'signal' | 'any'

/** The kind of each option of a type. */
export type OptionKinds<Options> = { readonly [Name in keyof Required<Options>]: OptionKind }

/**
 * Checks the shape of options, because JavaScript callers have no compiler: an object without unknown names, and each
 * value of the right kind. An option that is `undefined` counts as absent. `place` is the name of the function in the
 * message, `pcp()` for example.
 *
 * Throws a TypeError that names the option, and suggests the one that was probably meant.
 */
export function checkOptions<Options extends object>(
  place: string,
  options: Options,
  kinds: OptionKinds<Options>
): void {
  const given: unknown = options
  const names = Object.keys(kinds)
  if (kindOf(given) !== 'object') {
    throw new TypeError(`${place} takes an object of options, and not ${quote(given)}. ${listed(names)}`)
  }
  // A caller passed the factory itself instead of calling it, so the factory got the argument of what it creates: a
  // strategy gets a host with `random`, and a service gets libp2p's components with `isStarted`.
  if (['random', 'isStarted'].some((name) => name in options && !names.includes(name))) {
    throw new TypeError(`call ${place} and pass what it returns, and not the function itself`)
  }
  const table: Readonly<Record<string, OptionKind>> = kinds
  for (const [name, value] of Object.entries(options)) {
    const kind = Object.hasOwn(table, name) ? table[name] : undefined
    if (kind === undefined && plumbing.has(name) && typeof value === 'function') continue
    if (kind === undefined) {
      throw new TypeError(`${place} has no option "${name}".${didYouMean(name, names) || ` ${listed(names)}`}`)
    }
    if (value === undefined || kind === 'any' || isOf(value, kind)) continue
    throw new TypeError(`${place}: ${name} is not ${articles[kind]}: ${quote(value)}`)
  }
}

/** A test network passes both socket options to every strategy, whether or not the strategy uses them. */
const plumbing: ReadonlySet<string> = new Set(['openUdp', 'exchangeHttp'])

/** Returns ` Did you mean "natpmp"?`, or an empty string if no name is similar. */
export function didYouMean(word: string, names: readonly string[]): string {
  const found = names
    .map((name) => ({ name, distance: distanceOf(plain(word), plain(name)) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .toSorted((one, other) => one.distance - other.distance)[0]
  return found === undefined ? '' : ` Did you mean "${found.name}"?`
}

const articles: Readonly<Record<OptionKind, string>> = {
  string: 'a text',
  number: 'a number',
  boolean: 'true or false',
  function: 'a function',
  object: 'an object',
  array: 'an array',
  signal: 'an AbortSignal',
  any: 'a value'
}

const isOf = (value: unknown, kind: OptionKind): boolean =>
  kindOf(value) === kind || (kind === 'signal' && isSignal(value))

/** Checks its members, because it may come from another realm. */
const isSignal = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** How many characters of a value a message quotes, so that the message stays readable. */
const maxQuoted = 60

function quote(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  if (typeof value === 'function') return 'a function'
  const text = typeof value === 'string' ? `"${value}"` : String(value)
  return text.length > maxQuoted ? `${text.slice(0, maxQuoted)}…` : text
}

const listed = (names: readonly string[]): string =>
  names.length === 0 ? 'It has none.' : `Its options are ${names.join(', ')}.`

/** Removes the usual mistakes: upper case, hyphens and underscores. A plural is another one, with a distance of 1. */
const plain = (name: string): string => name.toLowerCase().replaceAll(/[-_\s]/g, '')

/** A longer word is not a misspelt name, and the cost grows with the product of the lengths. */
const maxCompared = 40

/** Returns how many letters must be added, removed, replaced or swapped with the next to turn one word into the other
 * (Damerau). */
function distanceOf(one: string, other: string): number {
  if (one.length > maxCompared || other.length > maxCompared) return Infinity
  let before: readonly number[] = []
  let row: readonly number[] = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (const [index, letter] of one.split('').entries()) {
    const next = [index + 1]
    for (const [column, against] of other.split('').entries()) {
      const replaced = (row[column] ?? 0) + (letter === against ? 0 : 1)
      const isSwapped = letter === other[column - 1] && one[index - 1] === against
      const swapped = isSwapped ? (before[column - 1] ?? 0) + 1 : Infinity
      next.push(Math.min(replaced, swapped, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    before = row
    row = next
  }
  return row.at(-1) ?? Infinity
}
