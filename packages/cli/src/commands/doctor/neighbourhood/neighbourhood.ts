import type { NeighbourhoodReport } from '@postern/core'
import type { CallOptions, Network } from '@postern/interface'
import type { Trial } from '../trial.js'
import { portalLines } from './captive-portal.js'
import { ipv6Lines } from './ipv6.js'
import type { Look } from './look-around.js'
import { translationLines } from './translation.js'
import { udpLines } from './udp.js'

/** What the parts of the neighbourhood are found out from. */
export interface Surroundings {
  /** The trial. Its strategies have had their time to answer. */
  readonly trial: Pick<Trial, 'report'>
  readonly network: Network
  /** The look at UDP, IPv6, translated IPv4 and a captive portal, which began with the trial; undefined if there is none. */
  readonly look: Look | undefined
}

/** Finds out what is known of the network around this machine. Each part has its own time limit, and ends with the
 * signal. Never rejects: what a part could not find out is null or `unknown`. */
export async function examineNeighbourhood(
  { look, trial }: Surroundings,
  _call: CallOptions
): Promise<NeighbourhoodReport> {
  await look?.settled
  const { udp, ipv6, translation, captivePortal } = look?.found(trial.report()) ?? unseen
  return { router: null, mappings: null, udp, ipv6, translation, captivePortal, hostFirewall: null }
}

const unseen = {
  udp: 'unknown',
  ipv6: { outbound: 'unknown', inbound: 'unknown' },
  translation: null,
  captivePortal: null
} as const

/** Formats what is known and worth saying, one line each. */
export const neighbourhoodLines = ({
  udp,
  ipv6,
  translation,
  captivePortal
}: NeighbourhoodReport): readonly string[] => [
  ...udpLines(udp),
  ...ipv6Lines(ipv6),
  ...translationLines(translation),
  ...portalLines(captivePortal)
]
