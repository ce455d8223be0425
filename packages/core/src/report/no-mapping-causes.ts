import { type Family, familyOf, hasNextHop, isGlobal, type Network } from '@postern/interface'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { isOnPath, type WantedEndpoint } from '../discovery/endpoints.js'
import { isNotMapper } from '../discovery/search-progress.js'

interface FamilyFacts {
  readonly network: Network
  readonly wants: readonly WantedEndpoint[]
}

/** What to do if no strategy found a mapping service, by the failure that was met: the most telling first. */
const adviceFor: readonly (readonly [codes: readonly string[], advice: (name: string, byHand: string) => string])[] = [
  [
    ['NOT_AUTHORIZED'],
    (name, byHand) =>
      `Allow this machine to use ${name} in the router's settings: the router answers, and wants a login or permits others only. Or ${byHand}.`
  ],
  [
    ['MALFORMED_REPLY', 'REPLY_TOO_LARGE', 'GATEWAY_FAULT'],
    (name, byHand) =>
      `Update the router's firmware, or start the router again: it answers ${name} in a way that is not understood. Or ${byHand}.`
  ],
  [
    ['NO_SERVICE', 'UNSUPPORTED_VERSION', 'UNSUPPORTED'],
    (name, byHand) =>
      `Look in the router's settings for "port mapping" or "UPnP IGD": the router speaks ${name}, but offers no service there that maps ports. Or ${byHand}.`
  ],
  [
    ['PINHOLES_DISABLED'],
    () => "Allow IPv6 pinholes in the router's settings: its firewall is on and lets no program open them."
  ],
  [
    ['UNTRUSTED_REPLY'],
    (name) =>
      `Look at what ${name} says above: an answer came that does not come from the router, or leads away from it. If the address in it is the router's, name it with --via.`
  ],
  [
    ['ADDRESS_NOT_ROUTABLE', 'EXTERNAL_ADDRESS_UNKNOWN'],
    (name) =>
      `Give ${name} the router's public address, which the router's settings call the WAN, internet or external address: the internet reaches no other one.`
  ]
]

/** Returns the advice; undefined if only silence and closed ports were met.
 *
 * @param byHand - what to enter in the router instead */
export function absenceAdvice(entries: readonly StrategyEntry[], byHand: string): string | undefined {
  // An observer reports how the NAT behaves, and asks no router for anything.
  if (entries.length > 0 && entries.every(({ kind }) => kind === 'observer'))
    return 'Name a strategy that maps ports, such as pcp, nat-pmp, upnp or manual: the router was not asked for anything.'
  for (const [codes, advice] of adviceFor) {
    // A relay or witness that is missing says nothing about the router.
    const met = entries.find((entry) => !isNotMapper(entry) && codes.includes(entry.absence?.code ?? ''))
    if (met !== undefined) return advice(met.name, byHand)
  }
  return undefined
}

/** Returns the advice if every server listens on a family in which this machine has no routable address: no setting of
 * the router helps then. */
export function familyAdvice({ network, wants }: FamilyFacts): string | undefined {
  const addresses = network.addresses.filter((address) => familyOf(address) === 4 || isGlobal(address))
  const isOnly = (family: Family): boolean =>
    wants.length > 0 &&
    wants.every(({ endpoint }) => endpoint.family === family) &&
    addresses.every((address) => familyOf(address) !== family)
  if (isOnly(6))
    return 'Let the program listen on IPv4 too (0.0.0.0, or :: without ipv6Only): it listens on IPv6 only, and this machine has no public IPv6 address.'
  if (isOnly(4))
    return 'Let the program listen on IPv6 too (::): it listens on IPv4 only, and this machine has no IPv4 address.'
  return undefined
}

/** Names the routers that offer mappings and are not used, and how to use them anyway. */
export function secondaryAdvice(entries: readonly StrategyEntry[], network: Network): readonly string[] {
  const routes = new Map<string, string>()
  for (const entry of entries) {
    for (const ability of entry.abilities.values()) {
      if (ability.kind !== 'mapper' || ability.gateway === null || isOnPath(ability, entry, network)) continue
      const { address } = ability.gateway
      if (!routes.has(address)) routes.set(address, `--via ${entry.name}:${address}`)
    }
  }
  const [gateway] = network.gateways
  // Behind a VPN, the other router cannot be the next hop under another address.
  const mayBeSame = gateway !== undefined && hasNextHop(gateway)
  return [...routes].map(
    ([address, via]) =>
      `Another router here (${address}) offers mappings too; it is not used, because replies do not leave through it.${mayBeSame ? ` If it is the same router under another address, name it: ${via}` : ''}`
  )
}
