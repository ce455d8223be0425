import { hasNextHop, type Network } from '@postern/interface'
import type { Entry } from './roster.js'
import { isOnPath } from './wants.js'

const byHand = 'forward the port there by hand and name it with manual'

/** What to do where no strategy found a service that maps, by what was met instead: the most telling first. */
const adviceFor: readonly (readonly [codes: readonly string[], advice: (name: string) => string])[] = [
  [
    ['NOT_AUTHORIZED'],
    (name) =>
      `Allow this machine to use ${name} in the router's settings: the router answers, and wants a login or permits others only. Or ${byHand}.`
  ],
  [
    ['MALFORMED_REPLY', 'REPLY_TOO_LARGE', 'GATEWAY_FAULT'],
    (name) =>
      `Update the router's firmware, or start the router again: it answers ${name} in a way that is not understood. Or ${byHand}.`
  ],
  [
    ['NO_SERVICE', 'UNSUPPORTED_VERSION', 'UNSUPPORTED'],
    (name) =>
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
  ]
]

/** Undefined where nothing but silence and closed ports was met. */
export function absenceAdvice(entries: readonly Entry[]): string | undefined {
  for (const [codes, advice] of adviceFor) {
    const met = entries.find(({ kind, absence }) => kind !== 'observer' && codes.includes(absence?.code ?? ''))
    if (met !== undefined) return advice(met.name)
  }
  return undefined
}

/** Names the routers that map and are not used, and how to use them all the same. */
export function secondaryAdvice(entries: readonly Entry[], network: Network): readonly string[] {
  const routes = new Map<string, string>()
  for (const entry of entries) {
    for (const ability of entry.abilities.values()) {
      if (ability.kind !== 'mapper' || ability.gateway === null || isOnPath(ability, entry, network)) continue
      const { address } = ability.gateway
      if (!routes.has(address)) routes.set(address, `--via ${entry.name}:${address}`)
    }
  }
  const [gateway] = network.gateways
  // Behind a VPN it is not the next hop under another address.
  const mayBeSame = gateway !== undefined && hasNextHop(gateway)
  return [...routes].map(
    ([address, via]) =>
      `Another router here (${address}) offers mappings too; it is not used, because replies do not leave through it.${mayBeSame ? ` If it is the same router under another address, name it: ${via}` : ''}`
  )
}
