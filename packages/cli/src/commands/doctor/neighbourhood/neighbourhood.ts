import { type NeighbourhoodReport, type Report, systemHost } from '@postern/core'
import type { CallOptions, Network } from '@postern/interface'
import type { Trial } from '../trial.js'
import { mappingAdvice, mappingLines } from './mapping-advice.js'
import { examineMappings } from './mappings.js'
import { programAt } from './program-at.js'
import { routerAdvice } from './router-advice.js'

/** What the parts of the neighbourhood are found out from. */
export interface Surroundings {
  /** The trial. Its strategies have had their time to answer. */
  readonly trial: Pick<Trial, 'report' | 'mappers'>
  readonly network: Network
}

/** Finds out what is known of the network around this machine. Each part has its own time limit, and ends with the
 * signal. Never rejects: what a part could not find out is null or `unknown`. */
export async function examineNeighbourhood(
  { trial, network }: Surroundings,
  call: CallOptions
): Promise<NeighbourhoodReport> {
  const { clock } = systemHost
  const [router, mappings, udp, ipv6, translation, captivePortal, hostFirewall] = await Promise.all([
    known(trial.report().gateway?.device ?? null),
    trial.mappers === undefined
      ? known(null)
      : examineMappings({ clock, seen: trial.mappers, network, programAt }, call),
    known('unknown' as const),
    known({ outbound: 'unknown', inbound: 'unknown' } as const),
    known(null),
    known(null),
    known(null)
  ])
  return { router, mappings, udp, ipv6, translation, captivePortal, hostFirewall }
}

/** Resolves to what needs no waiting. */
const known = <T>(value: T): Promise<T> => Promise.resolve(value)

/** Adds the neighbourhood to a report, and advice about it. */
export function withNeighbourhood(report: Report, neighbourhood: NeighbourhoodReport | undefined): Report {
  if (neighbourhood === undefined) return report
  const advice = [...report.advice, ...routerAdvice(report, neighbourhood.router), ...mappingAdvice(neighbourhood)]
  return { ...report, advice, neighbourhood }
}

/** Formats what is worth saying of the neighbourhood, one line each. What is as usual gives no line. The router is named with
 * the gateway. */
export const neighbourhoodLines = ({ mappings }: NeighbourhoodReport): readonly string[] => [...mappingLines(mappings)]
