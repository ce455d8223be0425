import type { Memory } from '@postern/core'

/** Memories by gateway and endpoint. */
export type MemoryMap = ReadonlyMap<string, Memory>

export const mapOf = (memories: readonly Memory[]): MemoryMap =>
  new Map(memories.map((memory) => [keyOf(memory), memory]))

/**
 * Returns what a file holds once one of its users has saved: the entries that this user has changed or removed since `base`,
 * what it knew before, and of all others those of `current`.
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
