/** Gateways that are remembered. Routes can be forged without end, so others are forgotten, those used longest ago first. */
const maxGateways = 64

/** Notes what is known of a gateway as used now, and forgets the oldest where there are too many.
 *
 * @param isNeeded - whether one that would be forgotten has to stay */
export function remember<T>(known: Map<string, T>, gateway: string, value: T, isNeeded: (other: T) => boolean): void {
  known.delete(gateway)
  for (const [other, each] of known) {
    if (known.size < maxGateways) break
    if (!isNeeded(each)) known.delete(other)
  }
  known.set(gateway, value)
}
