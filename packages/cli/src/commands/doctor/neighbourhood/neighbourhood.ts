import type { NeighbourhoodReport } from '@postern/core'
import type { CallOptions, Network } from '@postern/interface'
import type { Trial } from '../trial.js'
import { findHostFirewall, hostFirewallLines } from './host-firewall.js'

/** What the parts of the neighbourhood are found out from. */
export interface Surroundings {
  /** The trial. Its strategies have had their time to answer. */
  readonly trial: Pick<Trial, 'report' | 'port'>
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
  const hostFirewall = await findHostFirewall(trial.port?.(), port, network, call)
  return {
    router: null,
    mappings: null,
    udp: 'unknown',
    ipv6: { outbound: 'unknown', inbound: 'unknown' },
    translation: null,
    captivePortal: null,
    hostFirewall
  }
}

/** Formats what is worth saying about the neighbourhood, a line each; none where everything is ordinary. */
export const neighbourhoodLines = ({ hostFirewall }: NeighbourhoodReport): readonly string[] => [
  ...(hostFirewall === null ? [] : hostFirewallLines(hostFirewall))
]
