import { type NeighbourhoodReport, type Report, systemHost } from '@postern/core'
import type { CallOptions, Network } from '@postern/interface'
import type { Trial } from '../trial.js'
import { portalLines } from './captive-portal.js'
import { findHostFirewall, hostFirewallLines, withHostFirewall } from './host-firewall.js'
import { ipv6Lines } from './ipv6.js'
import type { Look } from './look-around.js'
import { mappingAdvice, mappingLines } from './mapping-advice.js'
import { examineMappings } from './mappings.js'
import { programAt } from './program-at.js'
import { routerAdvice } from './router-advice.js'
import { translationLines } from './translation.js'
import { udpLines } from './udp.js'

/** What the neighbourhood is examined with. */
export interface Surroundings {
  /** The trial. Its strategies have had their time to answer. */
  readonly trial: Pick<Trial, 'report' | 'mappers' | 'port'>
  readonly network: Network
  /** The port that the user named. */
  readonly port: number | undefined
  /** The look at UDP, IPv6, translated IPv4 and a captive portal, which began with the trial; undefined if there is none. */
  readonly look: Look | undefined
}

/** Finds out what is known of the network around this machine. Each part has its own time limit, and ends with the
 * signal. Never rejects: what a part could not find out is null or `unknown`. */
export async function examineNeighbourhood(
  { trial, network, port, look }: Surroundings,
  call: CallOptions
): Promise<NeighbourhoodReport> {
  const { clock } = systemHost
  const [mappings, hostFirewall] = await Promise.all([
    trial.mappers === undefined ? null : examineMappings({ clock, seen: trial.mappers, network, programAt }, call),
    findHostFirewall(trial.port?.(), port, network, call),
    look?.settled
  ])
  const report = trial.report()
  const { udp, ipv6, translation, captivePortal } = look?.found(report) ?? unseen
  const router = report.gateway?.device ?? null
  return { router, mappings, udp, ipv6, translation, captivePortal, hostFirewall }
}

const unseen = {
  udp: 'unknown',
  ipv6: { outbound: 'unknown', inbound: 'unknown' },
  translation: null,
  captivePortal: null
} as const

/** Adds the neighbourhood to a report, and advice about it. */
export function withNeighbourhood(
  report: Report,
  {
    neighbourhood,
    look,
    port
  }: Pick<Surroundings, 'look' | 'port'> & { readonly neighbourhood: NeighbourhoodReport | undefined }
): Report {
  if (neighbourhood === undefined) return report
  const advice = [...report.advice, ...routerAdvice(report, neighbourhood.router), ...mappingAdvice(neighbourhood)]
  const whole = { ...report, advice, neighbourhood }
  return withHostFirewall(look?.complete(whole) ?? whole, port)
}

/** Formats what is unusual in the neighbourhood, one line each. What is usual gives no line. The line of the gateway names the
 * router. */
export const neighbourhoodLines = ({
  mappings,
  udp,
  ipv6,
  translation,
  captivePortal,
  hostFirewall
}: NeighbourhoodReport): readonly string[] => [
  ...mappingLines(mappings),
  ...udpLines(udp),
  ...ipv6Lines(ipv6),
  ...translationLines(translation),
  ...portalLines(captivePortal),
  ...(hostFirewall === null ? [] : hostFirewallLines(hostFirewall))
]
