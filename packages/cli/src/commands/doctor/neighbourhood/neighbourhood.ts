import type { NeighbourhoodReport, Report } from '@postern/core'
import { type CallOptions, formatDevice, type Network } from '@postern/interface'
import type { Trial } from '../trial.js'
import { findHostFirewall, hostFirewallLines, withHostFirewall } from './host-firewall.js'
import { mappingAdvice, mappingLines } from './mapping-advice.js'
import { examineMappings } from './mappings.js'
import { programAt } from './program-at.js'
import { routerAdvice } from './router-advice.js'

/** What the parts of the neighbourhood are found out from. */
export interface Surroundings {
  /** The trial. Its strategies have had their time to answer. */
  readonly trial: Pick<Trial, 'report' | 'mappers' | 'port'>
  readonly network: Network
  /** The port that the user named. */
  readonly port: number | undefined
}

/** Finds out what is known of the network around this machine. Each part has its own time limit, and ends with the
 * signal. Never rejects: what a part could not find out is null or `unknown`. */
export async function examineNeighbourhood(
  { trial, network, port }: Surroundings,
  call: CallOptions
): Promise<NeighbourhoodReport> {
  const [mappings, hostFirewall] = await Promise.all([
    trial.mappers === undefined
      ? Promise.resolve(null)
      : examineMappings({ seen: trial.mappers, network, programAt }, call),
    findHostFirewall(trial.port?.(), port, network, call)
  ])
  return {
    router: trial.report().gateway?.device ?? null,
    mappings,
    udp: 'unknown',
    ipv6: { outbound: 'unknown', inbound: 'unknown' },
    translation: null,
    captivePortal: null,
    hostFirewall
  }
}

/** Adds the neighbourhood to a report, and advice about it. */
export function withNeighbourhood(
  report: Report,
  neighbourhood: NeighbourhoodReport | undefined,
  port: number | undefined
): Report {
  if (neighbourhood === undefined) return report
  const advice = [...report.advice, ...routerAdvice(report, neighbourhood.router), ...mappingAdvice(neighbourhood)]
  return withHostFirewall({ ...report, advice, neighbourhood }, port)
}

/** Formats what is worth saying of the neighbourhood, one line each. What is as usual gives no line. */
export const neighbourhoodLines = ({ router, mappings, hostFirewall }: NeighbourhoodReport): readonly string[] => [
  ...(router === null ? [] : [`Router: ${formatDevice(router)}, as it calls itself`]),
  ...mappingLines(mappings),
  ...(hostFirewall === null ? [] : hostFirewallLines(hostFirewall))
]
