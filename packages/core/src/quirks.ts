import type { Memory } from './memory.js'

/** Routers that are remembered without a mapping; more are forgotten, the oldest first. */
const maxNotes = 32
/** Of one strategy at one router. */
const maxQuirks = 8
/** Of all strategies at one router. */
const maxKept = 32
const isWord = (quirk: unknown): quirk is string => typeof quirk === 'string' && /^[a-z0-9-]{1,40}$/.test(quirk)
/** As it is stored: the strategy, and its word. */
const isKept = (quirk: unknown): boolean => typeof quirk === 'string' && /^.{1,80}:[a-z0-9-]{1,40}$/.test(quirk)

const isOf = (memory: Memory, gateway: Memory['gateway']): boolean =>
  memory.gateway.address !== '' &&
  memory.gateway.mac === gateway.mac &&
  (gateway.mac !== null || memory.gateway.address === gateway.address)

const allOf = (memories: Iterable<Memory>, gateway: Memory['gateway']): readonly string[] =>
  [...memories].flatMap((each) => (isOf(each, gateway) ? (each.quirks ?? []) : []))

/** What all memories tell of one router to one strategy. */
export function knownQuirks(
  memories: Iterable<Memory>,
  gateway: Memory['gateway'],
  strategy: string
): readonly string[] {
  const prefix = `${strategy}:`
  const own = allOf(memories, gateway).flatMap((each) => (each.startsWith(prefix) ? [each.slice(prefix.length)] : []))
  return [...new Set(own)].slice(0, maxQuirks)
}

/** What a memory tells after the strategy has told these words. Undefined where it has never told anything. */
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

/** Whether a value of a store can be the quirks of a memory. */
export const areQuirks = (value: unknown): boolean =>
  value === undefined || (Array.isArray(value) && value.length <= maxKept && value.every(isKept))

export const isSameQuirks = (one: readonly string[] = [], other: readonly string[] = []): boolean =>
  one.length === other.length && one.every((quirk) => other.includes(quirk))

/** Whether it is of a router, and not of a mapping. */
export const isNote = ({ externalPort, quirks = [] }: Memory): boolean => externalPort === null && quirks.length > 0

/** What stays of a memory whose mapping is gone: the quirks of the router. Undefined where it has none, or where another memory
 * tells them.
 *
 * @param key - of whatever is mapped next: the old one has been used
 */
export function noteOf(memory: Memory, others: Iterable<Memory>, key: string): Memory | undefined {
  const { gateway, quirks = [] } = memory
  if (quirks.length === 0 || gateway.address === '') return undefined
  const told = allOf(others, gateway)
  if (quirks.every((quirk) => told.includes(quirk))) return undefined
  return { ...memory, key, externalPort: null, wantedPort: null, expiresAt: null, verifiedAt: null }
}

/** The oldest notes beyond the bound. */
export function surplusNotes(memories: Iterable<Memory>): readonly Memory[] {
  const notes = [...memories].filter(isNote)
  return notes.slice(0, Math.max(0, notes.length - maxNotes))
}
