/** Evicts the oldest entry when the collection exceeds `max` entries. Its size is under remote control. */
export function forgetOldest(kept: Set<string> | Map<string, unknown>, max: number): void {
  const [oldest] = kept.keys()
  if (kept.size > max && oldest !== undefined) kept.delete(oldest)
}
