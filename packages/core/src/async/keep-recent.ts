/** Maximum number of remembered gateways. Routes can be forged endlessly, so the least recently used are forgotten. */
const maxGateways = 64

/**
 * Marks a gateway as used now, and forgets the least recently used ones beyond the maximum.
 *
 * @param isNeeded - whether an entry must be kept
 */
export function keepRecent<T>(known: Map<string, T>, gateway: string, value: T, isNeeded: (other: T) => boolean): void {
  known.delete(gateway)
  for (const [other, each] of known) {
    if (known.size < maxGateways) break
    if (!isNeeded(each)) known.delete(other)
  }
  known.set(gateway, value)
}
