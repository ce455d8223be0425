import { canonicalAddress, familyOf } from './addresses.js'
import type { Family, Gateway } from './contract.js'

/** Default routes of one family that count. Replies leave through the first one only, and any neighbour can add others with
 * forged IPv6 router advertisements. */
export const maxGatewaysPerFamily = 4

/** The first {@link maxGatewaysPerFamily} gateways of each family, in the order given, each once. */
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
