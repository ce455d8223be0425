import { type CaptivePortalReport, type NeighbourhoodReport, type Report, systemHost } from '@postern/core'
import { type CallOptions, type Network, waitAtMost } from '@postern/interface'
import type { Lookup } from '@postern/net'
import type { ServerName } from '@postern/stun'
import { checkPortal, portalAdvice } from './captive-portal.js'
import { ipv6Advice, ipv6Of } from './ipv6.js'
import type { ServerProbe } from './named-servers.js'
import { findPrefix, type Resolve6, systemResolve6, translationAdvice, translationOf } from './translation.js'
import { udpAdvice, udpOf } from './udp.js'

/** What a look finds out. */
export type Seen = Pick<NeighbourhoodReport, 'udp' | 'ipv6' | 'translation' | 'captivePortal'>

/** The options of {@link lookAround}. */
export interface LookOptions {
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

/** A look at the network around this machine, beside the trial. */
export interface Look {
  /** Resolves when every party that the user named has answered or was given up, and after 8 s at the latest. Doctor waits
   * for this part of the look only. */
  readonly settled: Promise<void>
  /** Returns what is known by now. */
  found(report: Report): Seen
  /** Returns the report with what is known by now, and with the advice that follows. A report without a neighbourhood is not
   * complete yet, and is returned as it is. */
  complete(report: Report): Report
}

/** How long to wait for the parties that the user named, in ms: less than doctor waits for a STUN server that is silent. */
const lookMs = 8000

/** Begins to look at a network. */
export type LookAround = (network: Network, call: CallOptions) => Look

/** Returns a function that begins to look at the network around this machine. It goes on until the signal aborts, and never
 * throws: what fails stays unknown. */
export const lookAround =
  ({ servers = [], portal, resolve6 = systemResolve6, lookup }: LookOptions): LookAround =>
  (network, call) => {
    const { clock } = systemHost
    const probes: ServerProbe[] = []
    let isComplete = false
    let prefix: string | undefined
    let captivePortal: CaptivePortalReport | null =
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
    // An interruption rejects all of them: what is not known by then stays unknown.
    const quietly = (work: Promise<void>): Promise<void> => work.catch(() => undefined)
    void quietly(askNames())
    const asking = Promise.all([quietly(askServers()), quietly(askPage())])

    const found = (report: Report): Seen => ({
      udp: udpOf(probes, report, isComplete),
      ipv6: ipv6Of(probes, report, network, isComplete),
      translation: translationOf({ prefix, network, report }),
      captivePortal
    })
    return {
      settled: waitAtMost(clock, lookMs, asking, [], call).then(() => undefined),
      found,
      complete(report) {
        if (report.neighbourhood === undefined) return report
        const seen = found(report)
        const neighbourhood = { ...report.neighbourhood, ...seen }
        return { ...report, neighbourhood, advice: withAdvice(report, seen, network) }
      }
    }
  }

/** Returns the advice of the report with that about the neighbourhood. A captive portal comes first: until the
 * user has logged in, it may have caused every other finding. */
function withAdvice(
  report: Report,
  { udp, ipv6, translation, captivePortal }: Seen,
  network: Network
): readonly string[] {
  const before = captivePortal === null ? [] : portalAdvice(captivePortal)
  const after = [
    ...(translation === null ? [] : translationAdvice(translation, network, report)),
    ...udpAdvice(udp),
    ...ipv6Advice(ipv6, report, network)
  ]
  const isKept = (text: string): boolean =>
    // This advice of the report was given without knowing that TCP gets through, and what is beyond the router.
    !(udp === 'blocked' && text.startsWith('No STUN server answers, so')) &&
    !(translation !== null && translation.kind !== 'nat64' && text.startsWith('Look for a second router'))
  const others = report.advice.filter(isKept)
  return [...before, ...others, ...after]
}
