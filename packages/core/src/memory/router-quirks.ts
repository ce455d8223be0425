import type { Memory } from './store.js'

/** Maximum number of routers that are remembered without a mapping. The oldest are forgotten. */
const maxNotes = 32
/** How many quirks one strategy may report about a router. UPnP reports at most three. */
const maxQuirks = 8
/** How many quirks of a router are stored, those of all strategies together. */
const maxKept = 32
const isWord = (quirk: unknown): quirk is string => typeof quirk === 'string' && /^[a-z0-9-]{1,40}$/.test(quirk)
/** Whether a value is a quirk as it is stored: the strategy, a colon, and the strategy's word. */
const isKept = (quirk: unknown): boolean => typeof quirk === 'string' && /^.{1,80}:[a-z0-9-]{1,40}$/.test(quirk)

const isOf = (memory: Memory, gateway: Memory['gateway']): boolean =>
  memory.gateway.address !== '' &&
  memory.gateway.mac === gateway.mac &&
  (gateway.mac !== null || memory.gateway.address === gateway.address)

const allOf = (memories: Iterable<Memory>, gateway: Memory['gateway']): readonly string[] =>
  [...memories].flatMap((each) => (isOf(each, gateway) ? (each.quirks ?? []) : []))

/** Returns the quirks of a router that one strategy reported, from all memories. */
export function knownQuirks(
  memories: Iterable<Memory>,
  gateway: Memory['gateway'],
  strategy: string
): readonly string[] {
  const prefix = `${strategy}:`
  const own = allOf(memories, gateway).flatMap((each) => (each.startsWith(prefix) ? [each.slice(prefix.length)] : []))
  return [...new Set(own)].slice(0, maxQuirks)
}

/** Returns the quirks of a memory after the strategy has reported these words. Undefined if none were ever reported. */
export function quirksAfter(
  before: readonly string[] | undefined,
  strategy: string,
  words: readonly unknown[] = []
): readonly string[] | undefined {
  const own = [...new Set(words.filter(isWord))].slice(0, maxQuirks).map((word) => `${strategy}:${word}`)
  if (before === undefined && own.length === 0) return undefined
  const others = (before ?? []).filter((each) => !each.startsWith(`${strategy}:`))
  return [...others, ...own].slice(0, maxKept)
}

/** Whether a stored value is a valid list of quirks. */
export const areQuirks = (value: unknown): boolean =>
  value === undefined || (Array.isArray(value) && value.length <= maxKept && value.every(isKept))

export const isSameQuirks = (one: readonly string[] = [], other: readonly string[] = []): boolean =>
  one.length === other.length && one.every((quirk) => other.includes(quirk))

/** Whether a memory is of a router only, and not of a mapping. */
export const isNote = ({ externalPort, quirks = [] }: Memory): boolean => externalPort === null && quirks.length > 0

/**
 * Returns what remains of a memory when its mapping is gone: the quirks of the router. Undefined if it has none, or if
 * other memories have them.
 *
 * @param key - the key for the next mapping: the old one has been used
 */
export function noteOf(memory: Memory, others: Iterable<Memory>, key: string): Memory | undefined {
  const { gateway, quirks = [] } = memory
  if (quirks.length === 0 || gateway.address === '') return undefined
  const told = allOf(others, gateway)
  if (quirks.every((quirk) => told.includes(quirk))) return undefined
  return { ...memory, key, externalPort: null, wantedPort: null, expiresAt: null, verifiedAt: null }
}

/** Returns the oldest notes beyond the maximum. */
export function surplusNotes(memories: Iterable<Memory>): readonly Memory[] {
  const notes = [...memories].filter(isNote)
  return notes.slice(0, Math.max(0, notes.length - maxNotes))
}
