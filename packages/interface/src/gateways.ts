import { canonicalAddress, familyOf } from './addresses.js'
import type { Family, Gateway } from './contract.js'

/** The maximum number of default routes of one family that are used. Replies leave only through the first one, and any
 * host on the link can add more with forged IPv6 router advertisements. */
export const maxGatewaysPerFamily = 4

/** Returns the first {@link maxGatewaysPerFamily} gateways of each family, in the given order and without
 * duplicates. */
export function boundGateways(gateways: readonly Gateway[]): readonly Gateway[] {
  const counts = new Map<Family | undefined, number>()
  const seen = new Set<string>()
  const kept: Gateway[] = []
  for (const gateway of gateways) {
    const family = familyOf(gateway.address)
    const count = counts.get(family) ?? 0
    if (count >= maxGatewaysPerFamily) continue
    const key = `${canonicalAddress(gateway.address)}%${gateway.interface}`
    if (seen.has(key)) continue
    seen.add(key)
    counts.set(family, count + 1)
    kept.push(gateway)
  }
  return kept
}
