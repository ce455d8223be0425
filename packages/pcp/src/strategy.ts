import {
  type CallOptions,
  type Discovery,
  type Family,
  type Finding,
  type Gateway,
  type Host,
  isGlobal,
  isNatError,
  type Mapper,
  type NatError,
  type Strategy
} from '@postern/interface'
import { chooseGateways, hearAnnouncements, spacedHints, untilAborted } from '@postern/net'
import { createClient, waitsMs } from './client.js'
import { createMapper } from './mapper.js'
import { type PcpOptions, readOptions } from './options.js'

/** Silence for so many sendings (750 ms) is reported as absence, while the others go on. */
const provisionalSendings = 2
/** What is asked after an announcement. A router that is known gets less time, because mappings wait meanwhile. */
const hintSendings = { known: 2, unknown: 4 }
/** RFC 6887 §14.1: announcements go to all hosts of the link. */
const groups: Readonly<Record<Family, string>> = { 4: '224.0.0.1', 6: 'ff02::1' }

/** Answers, or none, after which it makes sense to go on asking: nobody has said that there is no PCP. */
const undecided: ReadonlySet<string> = new Set(['NO_REPLY', 'MALFORMED_REPLY', 'UNREACHABLE'])

/**
 * PCP (RFC 6887): asks the default gateways, or the one named, for external IPv4 ports and IPv6 pinholes.
 *
 * Throws a TypeError for a bad option; does nothing else until `discover` is called.
 */
export function pcp(options: PcpOptions = {}): Strategy {
  const { gateway: named, port, announcementPort, openUdp: open } = readOptions(options)

  return (host: Host) => {
    async function discoverOn(
      gateway: Gateway,
      family: Family,
      found: (finding: Finding) => void,
      { signal }: CallOptions
    ): Promise<void> {
      let mapper: Mapper | undefined
      let reason: NatError | undefined
      let patience: AbortController | undefined

      const tell = (what: 'restarted' | 'address-changed' | 'gone'): void => {
        if (mapper !== undefined && !signal.aborted) found({ kind: 'notice', what, about: mapper })
      }
      const absent = (error: NatError): void => {
        if (mapper !== undefined || signal.aborted) return
        reason = error
        found({ kind: 'notice', what: 'absent', gateway, reason })
      }
      const client = createClient(
        { host, gateway, family, port, open },
        {
          restarted: () => tell('restarted'),
          otherVersion(error) {
            tell('gone')
            mapper = undefined
            absent(error)
          }
        }
      )

      async function probe(waits: readonly number[], call: CallOptions): Promise<void> {
        try {
          await client.inTurn(() => client.announce(call, waits), call)
          if (mapper !== undefined || signal.aborted) return
          reason = undefined
          mapper = createMapper(client, gateway, family, () => tell('address-changed'))
          found(mapper)
        } catch (error) {
          if (call.signal.aborted) return
          if (!isNatError(error)) throw error
          // This one has been told already.
          if (error.code !== 'UNSUPPORTED_VERSION') absent(error)
        }
      }

      const hints = spacedHints(
        async () => {
          // §7.4: a NAT between us and the router does not go away because the router says something.
          if (reason?.code === 'ADDRESS_MISMATCH') return
          patience?.abort()
          await probe(waitsMs.slice(0, mapper ? hintSendings.known : hintSendings.unknown), { signal })
        },
        host.clock,
        { signal }
      )
      const isUndecided = (): boolean =>
        mapper === undefined && !signal.aborted && undecided.has(reason?.code ?? 'NO_REPLY')

      /** Asks on the whole schedule. An announcement cuts a long wait short and is asked about first. */
      async function seek(): Promise<void> {
        await probe(waitsMs.slice(0, provisionalSendings), { signal })
        let again = true
        while (again && isUndecided()) {
          patience = new AbortController()
          await probe(waitsMs.slice(provisionalSendings), { signal: AbortSignal.any([signal, patience.signal]) })
          again = patience.signal.aborted
          if (again) await hints.settled()
        }
        patience = undefined
      }

      const hearing = hearAnnouncements(
        { gateway, family, group: groups[family], port: announcementPort, fromPort: port, heard: hints.take, open },
        { signal }
      )
      try {
        const [hears] = await Promise.all([hearing, seek()])
        // A mapper goes on telling what the answers to its requests reveal.
        if (hears || mapper !== undefined) await untilAborted(signal)
      } catch (error) {
        if (!signal.aborted) throw error
      }
      await hints.settled()
    }

    const discovery: Discovery = {
      name: 'pcp',
      kind: 'mapper',
      ...(named === undefined ? {} : { gateway: named }),
      async discover(network, found, { signal }) {
        const discoverFamily = async (family: Family): Promise<void> => {
          const gateways = await chooseGateways(network, named, family, { signal }, open)
          // A pinhole to an address that nobody outside can reach is worth nothing.
          const useful = gateways.filter(
            ({ localAddress }) => family === 4 || named !== undefined || isGlobal(localAddress)
          )
          await Promise.all(useful.map((gateway) => discoverOn(gateway, family, found, { signal })))
        }
        await Promise.all([discoverFamily(4), discoverFamily(6)])
      }
    }
    return discovery
  }
}
