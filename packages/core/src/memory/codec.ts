import { classOf } from '@postern/interface'
import { areQuirks } from './router-quirks.js'
import type { Memory } from './store.js'

const format = 1

/** Formats memories for a store, as JSON with the version of its format. */
export const formatMemories = (memories: readonly Memory[]): string =>
  `${JSON.stringify({ format, memories }, undefined, 1)}\n`

/** Parses what {@link formatMemories} returned. Throws an Error for damaged text and for other versions. */
export function parseMemories(text: string): readonly Memory[] {
  const parsed: unknown = JSON.parse(text)
  if (!isObject(parsed) || parsed['format'] !== format || !Array.isArray(parsed['memories'])) {
    throw new Error('not a memory file of this version')
  }
  if (!parsed['memories'].every(isMemory)) throw new Error('an entry is damaged')
  return parsed['memories']
}

/** Whether a value is a memory with valid fields. */
export function isMemory(value: unknown): value is Memory {
  if (!isObject(value) || !isObject(value['gateway']) || !isObject(value['endpoint'])) return false
  const { gateway, endpoint, strategy, key, externalPort, wantedPort, expiresAt, verifiedAt, quirks } = value
  return (
    typeof gateway['address'] === 'string' &&
    isOrNull(gateway['mac'], 'string') &&
    (endpoint['protocol'] === 'tcp' || endpoint['protocol'] === 'udp') &&
    (endpoint['family'] === 4 || endpoint['family'] === 6) &&
    typeof endpoint['address'] === 'string' &&
    classOf(endpoint['address']) !== undefined &&
    isPort(endpoint['port']) &&
    isOrNull(strategy, 'string') &&
    typeof key === 'string' &&
    /^[0-9a-f]{32}$/.test(key) &&
    (externalPort === null || isPort(externalPort)) &&
    (wantedPort === null || isPort(wantedPort)) &&
    isOrNull(expiresAt, 'number') &&
    isOrNull(verifiedAt, 'number') &&
    areQuirks(quirks)
  )
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isOrNull = (value: unknown, type: 'string' | 'number'): boolean => value === null || typeof value === type
const isPort = (value: unknown): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536
