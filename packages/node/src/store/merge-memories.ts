import type { Memory } from '@postern/core'

/** Stored mappings by gateway and endpoint. */
export type MemoryMap = ReadonlyMap<string, Memory>

/** Returns mappings by gateway and endpoint. */
export const mapOf = (memories: readonly Memory[]): MemoryMap =>
  new Map(memories.map((memory) => [keyOf(memory), memory]))

/**
 * Merges the changes of one user into the content of a file. The entries that the user changed or removed since `base`,
 * its previous state, come from `next`; all others stay as they are in `current`.
 */
export function mergeMemories(current: MemoryMap, base: MemoryMap, next: MemoryMap): MemoryMap {
  const merged = new Map(current)
  for (const [key, before] of base) if (!next.has(key) && isSame(merged.get(key), before)) merged.delete(key)
  for (const [key, memory] of next) if (!isSame(base.get(key), memory)) merged.set(key, memory)
  return merged
}

const keyOf = ({ gateway, endpoint }: Memory): string =>
  JSON.stringify([gateway.address, gateway.mac, endpoint.protocol, endpoint.address, endpoint.port])

const isSame = (one: Memory | undefined, other: Memory): boolean => JSON.stringify(one) === JSON.stringify(other)
