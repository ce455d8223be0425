import type { NeighbourhoodReport, Report } from '@postern/core'
import type { ServerProbe } from './named-servers.js'

/** Whether datagrams to the internet are answered. */
export type UdpOutwards = NeighbourhoodReport['udp']

/**
 * Returns whether UDP gets through to the internet. One server that is silent shows nothing: it may be down. UDP is blocked if a
 * server that is silent over UDP answers over TCP, or if servers of two networks are silent while TCP gets through.
 *
 * @param isComplete - whether every server was asked to the end
 */
export function udpOf(
  probes: readonly ServerProbe[],
  { candidates }: Pick<Report, 'candidates'>,
  isComplete: boolean
): UdpOutwards {
  if (probes.some(({ udp }) => udp === 'answered')) return 'works'
  const silent = probes.filter(({ udp }) => udp === 'silent')
  if (!isComplete || silent.length === 0) return 'unknown'
  if (silent.some(({ tcp }) => tcp === 'answered')) return 'blocked'
  const networks = new Set(silent.map(({ network }) => network))
  // A witness is asked over TCP, and what it says came over TCP.
  const isTcpOpen =
    probes.some(({ tcp }) => tcp === 'open') ||
    candidates.some(({ evidence }) => evidence.some(({ outcome }) => outcome !== 'inconclusive'))
  return networks.size > 1 && isTcpOpen ? 'blocked' : 'unknown'
}

/** Formats the line about UDP; none if it works, which is usual, or if nothing is known. */
export const udpLines = (udp: UdpOutwards): readonly string[] =>
  udp === 'blocked' ? ['UDP: blocked, no STUN server answers over UDP, and TCP gets through'] : []

/** Returns what blocked UDP means. */
export const udpAdvice = (udp: UdpOutwards): readonly string[] =>
  udp === 'blocked'
    ? [
        'Look for a firewall in the router, at the provider or on this machine that blocks UDP: no STUN server answers over UDP, and TCP gets through. QUIC, hole punching and most games need UDP; a relay over TCP works.'
      ]
    : []
