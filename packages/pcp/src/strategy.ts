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
import { byGateway, chooseGateways, createStrangers, createUdpLine, longerWaits, seek, waitsFor } from '@postern/net'
import { createClient, waitsMs } from './client.js'
import { createMapper } from './mapper.js'
import { type PcpOptions, readOptions } from './options.js'

/** The multicast groups of announcements: all hosts on the link (RFC 6887 §14.1). */
const groups: Readonly<Record<Family, string>> = { 4: '224.0.0.1', 6: 'ff02::1' }

/**
 * Creates a strategy for PCP (RFC 6887), which asks the default gateways, or the one named, for external IPv4 ports and
 * IPv6 pinholes.
 *
 * Throws a TypeError for an invalid option. Sends nothing until `discover` is called.
 */
export function pcp(options: PcpOptions = {}): Strategy {
  const { gateway: named, port, announcementPort, openUdp: open } = readOptions(options)

  return (host: Host) => {
    const lineOf = byGateway(() => createUdpLine(host.clock, open))

    async function discoverOn(
      gateway: Gateway,
      family: Family,
      others: readonly Gateway[],
      found: (finding: Finding) => void,
      { signal }: CallOptions
    ): Promise<void> {
      let mapper: Mapper | undefined
      /** Whether the last question led to a notice. */
      let hasTold = false
      let hasGranted = false

      const tell = (what: 'restarted' | 'address-changed' | 'announced' | 'gone'): void => {
        hasTold = true
        if (mapper !== undefined && !signal.aborted) found({ kind: 'notice', what, about: mapper })
      }
      const absent = (error: NatError): void => {
        if (mapper === undefined && !signal.aborted) found({ kind: 'notice', what: 'absent', gateway, reason: error })
      }
      const line = lineOf(gateway.address)
      const { times } = line
      const client = createClient(
        { host, gateway, family, port, line },
        {
          restarted: () => tell('restarted'),
          answeredElsewhere:
            named === undefined
              ? createStrangers({ strategy: 'pcp', host, gateway, family, others, found })
              : undefined,
          otherVersion(error) {
            tell('gone')
            mapper = undefined
            absent(error)
          }
        }
      )

      const ask = async (waits: readonly number[], call: CallOptions): Promise<void> => {
        hasTold = false
        try {
          // A known server gets at least three times its fastest answer time.
          const enough = mapper === undefined ? waits : longerWaits(waits, waitsFor(3 * times.fastestMs()))
          await client.inTurn(() => client.announce(call, enough), call)
          if (mapper !== undefined || signal.aborted) return
          mapper = createMapper({
            client,
            gateway,
            family,
            clock: host.clock,
            granted() {
              hasGranted = true
            },
            addressChanged: () => tell('address-changed')
          })
          found(mapper)
        } catch (error) {
          // `otherVersion` has reported this error already.
          if (isNatError(error) && error.code !== 'UNSUPPORTED_VERSION' && !call.signal.aborted) absent(error)
          throw error
        }
      }
      const announcements = {
        gateway,
        family,
        group: groups[family],
        port: announcementPort,
        fromPort: port,
        open,
        unheard: (reason: NatError) => {
          if (!signal.aborted) found({ kind: 'notice', what: 'unheard', gateway, reason })
        }
      }
      const announced = (): void => {
        if (hasGranted && !hasTold) tell('announced')
      }
      const isFound = (): boolean => mapper !== undefined
      await seek({ clock: host.clock, ask, isFound, announced, waitsMs, announcements }, { signal })
    }

    const discovery: Discovery = {
      name: 'pcp',
      kind: 'mapper',
      ...(named === undefined ? {} : { gateway: named }),
      async discover(network, found, { signal }) {
        const discoverFamily = async (family: Family): Promise<void> => {
          const gateways = await chooseGateways(network, named, family, { signal }, open)
          // A pinhole for an address that is not global is useless.
          const useful = gateways.filter(
            ({ localAddress }) => family === 4 || named !== undefined || isGlobal(localAddress)
          )
          await Promise.all(useful.map((gateway) => discoverOn(gateway, family, useful, found, { signal })))
        }
        await Promise.all([discoverFamily(4), discoverFamily(6)])
      }
    }
    return discovery
  }
}
