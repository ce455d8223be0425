import type { Ipv6Report, Report } from '@postern/core'
import { familyOf, isGlobal, type Network, parseMultiaddr } from '@postern/interface'
import type { ServerProbe } from './named-servers.js'

/**
 * Returns what is known of IPv6. Only parties that the user named are evidence: STUN servers that were asked over IPv6, and
 * witnesses.
 *
 * @param isComplete - whether every STUN server was asked to the end
 */
export const ipv6Of = (
  probes: readonly ServerProbe[],
  report: Pick<Report, 'candidates'>,
  network: Network,
  isComplete: boolean
): Ipv6Report => ({ outbound: outboundOf(probes, report, network, isComplete), inbound: inboundOf(report) })

function outboundOf(
  probes: readonly ServerProbe[],
  { candidates }: Pick<Report, 'candidates'>,
  { addresses, gateways }: Network,
  isComplete: boolean
): Ipv6Report['outbound'] {
  const hasAddress = addresses.some((address) => familyOf(address) === 6 && isGlobal(address))
  if (!hasAddress || !gateways.some(({ address }) => familyOf(address) === 6)) return 'none'
  const overIPv6 = probes.filter(({ family, isTranslated }) => family === 6 && !isTranslated)
  const isWitnessed = candidates.some(({ evidence }) =>
    evidence.some(({ network, outcome }) => network.includes(':') && outcome !== 'inconclusive')
  )
  if (isWitnessed || overIPv6.some(isReached)) return 'works'
  if (!isComplete || overIPv6.length === 0) return 'unknown'
  // One server that is not reached may be down, unless it is reached over IPv4.
  const isUp = overIPv6.some(({ host }) =>
    probes.some((each) => each.family === 4 && each.host === host && isReached(each))
  )
  const networks = new Set(overIPv6.map(({ network }) => network))
  return isUp || networks.size > 1 ? 'fails' : 'unknown'
}

const isReached = ({ udp, tcp }: ServerProbe): boolean => udp === 'answered' || tcp === 'answered' || tcp === 'open'

/** One connection that arrived proves that IPv6 is let in. That it is blocked takes a quorum of witnesses. */
function inboundOf({ candidates }: Pick<Report, 'candidates'>): Ipv6Report['inbound'] {
  const overIPv6 = candidates.filter(isDirectIPv6)
  if (
    overIPv6.some(
      ({ state, evidence }) => state === 'verified' || evidence.some(({ outcome }) => outcome === 'reachable')
    )
  )
    return 'works'
  return overIPv6.some(({ state }) => state === 'refuted') ? 'blocked' : 'unknown'
}

const isDirectIPv6 = ({ type, address }: Report['candidates'][number]): boolean => {
  const parsed = parseMultiaddr(address)
  return type !== 'relayed' && parsed?.family === 6 && isGlobal(parsed.address)
}

/** Formats the line about IPv6; none if it is absent, works in both directions, or is not known. */
export function ipv6Lines({ outbound, inbound }: Ipv6Report): readonly string[] {
  if (outbound === 'fails') return ['IPv6: this machine has an address, but reaches no server over IPv6']
  if (inbound !== 'blocked') return []
  return [outbound === 'works' ? 'IPv6: works outwards, blocked inwards' : 'IPv6: blocked inwards']
}

/** Returns what to do about IPv6 that does not work in one direction. */
export function ipv6Advice(
  { outbound, inbound }: Ipv6Report,
  { candidates, strategies }: Pick<Report, 'candidates' | 'strategies'>,
  { gateways }: Network
): readonly string[] {
  const router = gateways.find(({ address }) => familyOf(address) === 6)?.address
  const where = router === undefined ? 'the router' : `the router (${router})`
  if (outbound === 'fails')
    return [
      `Look at the IPv6 settings of ${where}, or ask the provider: this machine has an IPv6 address, and reaches no server that was named over IPv6. Programs that try IPv6 first are slow until then.`
    ]
  if (inbound !== 'blocked') return []
  const opener = candidates.find((each) => each.type === 'mapped' && isDirectIPv6(each))?.strategy
  if (opener !== undefined && opener !== null)
    return [
      `Look for a firewall behind ${where}, or on this machine, that drops incoming IPv6: the router has opened a pinhole by ${opener}, and no connection of a witness came through.`
    ]
  return [
    `Open the port for IPv6 in the firewall of ${where}, or allow PCP or UPnP pinholes there, and look at the firewall of this machine: witnesses could not connect over IPv6, and no pinhole was opened${askedText(strategies)}.`
  ]
}

/** Returns what the strategies that open pinholes say, in brackets. */
function askedText(strategies: Report['strategies']): string {
  const said = strategies.flatMap(({ name, reason }) =>
    reason !== null && (name === 'pcp' || name === 'upnp') ? [`${name}: ${reason.message}`] : []
  )
  return said.length === 0 ? '' : ` (${said.join('; ')})`
}
