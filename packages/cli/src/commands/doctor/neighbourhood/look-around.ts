import { type Report, systemHost } from '@postern/core'
import type { CallOptions, Network } from '@postern/interface'
import type { Lookup } from '@postern/net'
import type { ServerName } from '@postern/stun'
import { type CaptivePortal, checkPortal, portalAdvice, portalLines } from './captive-portal.js'
import { ipv6Advice, ipv6Lines, ipv6Of } from './ipv6.js'
import type { ServerProbe } from './named-servers.js'
import {
  findPrefix,
  type Resolve6,
  systemResolve6,
  translationAdvice,
  translationLine,
  translationOf
} from './translation.js'
import { udpAdvice, udpLines, udpOf } from './udp.js'

/** What is known of the network around this machine. */
export type NeighbourhoodReport = NonNullable<Report['neighbourhood']>

/** The options of {@link lookAround}. */
export interface NeighbourhoodOptions {
  /** The STUN servers that the user named. */
  readonly servers?: readonly ServerName[]
  /** The page that shows whether there is a captive portal.
   * @default none is requested */
  readonly portal?: URL | undefined
  /** Resolves to the IPv6 addresses of a name.
   * @default the DNS servers of this machine */
  readonly resolve6?: Resolve6
  /** Looks up the names of STUN servers.
   * @default the resolver of this machine */
  readonly lookup?: Lookup
}

/** The look at the network around this machine, beside the trial. */
export interface Neighbourhood {
  /** Resolves when everything is known that was asked of parties which the user named. Doctor waits for nothing else. */
  readonly settled: Promise<void>
  /** Returns the report with what is known by now, and with the advice that follows. */
  complete(report: Report): Report
}

/** Begins to look at a network. */
export type LookAround = (network: Network, call: CallOptions) => Neighbourhood

/** Returns a function that begins to look at the network around this machine. It goes on until the signal aborts, and never
 * throws: what fails stays unknown. */
export const lookAround =
  ({ servers = [], portal, resolve6 = systemResolve6, lookup }: NeighbourhoodOptions): LookAround =>
  (network, call) => {
    const { clock } = systemHost
    const probes: ServerProbe[] = []
    let isComplete = false
    let prefix: string | undefined
    let captivePortal: CaptivePortal | null =
      portal === undefined ? null : { url: portal.href, state: 'unknown', location: null }

    async function askServers(): Promise<void> {
      if (servers.length === 0) return
      const { probeServers } = await import('./named-servers.js')
      const options = { clock, ...(lookup === undefined ? {} : { lookup }) }
      await probeServers(servers, options, (probe) => probes.push(probe), call)
      isComplete = true
    }
    async function askPage(): Promise<void> {
      if (portal !== undefined) captivePortal = await checkPortal(portal, { clock }, call)
    }
    async function askNames(): Promise<void> {
      prefix = await findPrefix(network, resolve6, call)
    }
    // After an interruption nothing is waited for, and what is not known by then stays unknown.
    const quietly = (work: Promise<void>): Promise<void> => work.catch(() => undefined)
    void quietly(askNames())
    const settled = Promise.all([quietly(askServers()), quietly(askPage())]).then(() => undefined)

    const look = (report: Report): NeighbourhoodReport => ({
      udp: udpOf(probes, report, isComplete),
      ipv6: ipv6Of(probes, report, network, isComplete),
      translation: translationOf({ prefix, network, report }),
      captivePortal
    })
    return {
      settled,
      complete(report) {
        const neighbourhood = look(report)
        return { ...report, neighbourhood, advice: withAdvice(report, neighbourhood, network) }
      }
    }
  }

/** Returns the advice of the report with that about the neighbourhood. A captive portal comes first: until it is passed, nothing
 * else is true. */
function withAdvice(
  report: Report,
  { udp, ipv6, translation, captivePortal }: NeighbourhoodReport,
  network: Network
): readonly string[] {
  const before = captivePortal === null ? [] : portalAdvice(captivePortal)
  const after = [
    ...(translation === null ? [] : translationAdvice(translation, network, report)),
    ...udpAdvice(udp),
    ...ipv6Advice(ipv6, report, network)
  ]
  const isKept = (text: string): boolean =>
    // The advice of the report does not know that TCP gets through, and what is beyond the router.
    !(udp === 'blocked' && text.startsWith('No STUN server answers, so')) &&
    !(translation !== null && text.startsWith('Look for a second router'))
  const others = report.advice.filter(isKept)
  return [...before, ...others, ...after]
}

/** Formats what is worth saying about the neighbourhood, a line each; none where everything is ordinary. */
export const neighbourhoodLines = ({
  udp,
  ipv6,
  translation,
  captivePortal
}: NeighbourhoodReport): readonly string[] => [
  ...udpLines(udp),
  ...ipv6Lines(ipv6),
  ...(translation === null ? [] : [translationLine(translation)]),
  ...(captivePortal === null ? [] : portalLines(captivePortal))
]
