import { canonicalAddress, familyOf } from './addresses.js'
import type { Family, Gateway, GatewayDevice } from './contract.js'

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

/** Formats a router in a few words, `AVM FRITZ!Box 7590` for example: the first word of its maker, which is the brand, and
 * the model, or its name if it tells no model. */
export function formatDevice({ manufacturer, model, name }: GatewayDevice): string {
  const [brand = ''] = (manufacturer ?? '').split(/[\s,]/)
  const own = model ?? name ?? ''
  if (own === '') return manufacturer ?? ''
  return own.toLowerCase().includes(brand.toLowerCase()) ? own : `${brand} ${own}`
}
