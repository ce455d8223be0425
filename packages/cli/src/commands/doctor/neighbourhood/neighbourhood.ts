import type { NeighbourhoodReport, Report } from '@postern/core'
import { type CallOptions, formatDevice, type Network } from '@postern/interface'
import type { Trial } from '../trial.js'
import { mappingAdvice, mappingLines } from './mapping-advice.js'
import { examineMappings } from './mappings.js'
import { programAt } from './program-at.js'
import { routerAdvice } from './router-advice.js'

/** What the parts of the neighbourhood are found out from. */
export interface Surroundings {
  /** The trial, whose strategies have had their time to answer. */
  readonly trial: Pick<Trial, 'report' | 'mappers'>
  readonly network: Network
}

/** Finds out what is known of the network around this machine. Each part has its own time limit, and ends with the
 * signal. Never rejects: what a part could not find out is null or `unknown`. */
export async function examineNeighbourhood(
  { trial, network }: Surroundings,
  call: CallOptions
): Promise<NeighbourhoodReport> {
  const [router, mappings, udp, ipv6, translation, captivePortal, hostFirewall] = await Promise.all([
    trial.report().gateway?.device ?? null,
    trial.mappers === undefined ? null : examineMappings({ seen: trial.mappers, network, programAt }, call),
    'unknown' as const,
    { outbound: 'unknown', inbound: 'unknown' } as const,
    null,
    null,
    null
  ])
  return { router, mappings, udp, ipv6, translation, captivePortal, hostFirewall }
}

/** Adds the neighbourhood to a report, and advice about it. */
export function withNeighbourhood(report: Report, neighbourhood: NeighbourhoodReport | undefined): Report {
  if (neighbourhood === undefined) return report
  const advice = [...report.advice, ...routerAdvice(report, neighbourhood.router), ...mappingAdvice(neighbourhood)]
  return { ...report, advice, neighbourhood }
}

/** Formats what is worth saying of the neighbourhood, one line each. What is as usual gives no line. */
export const neighbourhoodLines = ({ router, mappings }: NeighbourhoodReport): readonly string[] => [
  ...(router === null ? [] : [`Router: ${formatDevice(router)}, as it calls itself`]),
  ...mappingLines(mappings)
]
