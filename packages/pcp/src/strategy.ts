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
  natError,
  type Strategy,
  untilAborted
} from '@postern/interface'
import {
  askBeyond,
  byGateway,
  chooseGateways,
  createStrangers,
  createUdpLine,
  longerWaits,
  openBeyond,
  seek,
  waitsFor
} from '@postern/net'
import { acceptAnnounceReply, createClient, waitsMs } from './client.js'
import { encodeAnnounceRequest } from './codec.js'
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
    const lineBeyond = byGateway(() => createUdpLine(host.clock, openBeyond(open)))

    /** Asks a router that may be behind the next hop, once. Hears no announcements: they do not pass the next hop. */
    async function discoverBeyond(
      gateway: Gateway,
      found: (finding: Finding) => void,
      { signal }: CallOptions
    ): Promise<void> {
      const { clock } = host
      const absent = (reason: NatError): void => found({ kind: 'notice', what: 'absent', gateway, reason })
      const clientAddress = gateway.through?.clientAddress
      // §8.1: the server compares the client address with the source of the request.
      if (clientAddress === undefined)
        return absent(natError('ADDRESS_MISMATCH', 'the next hop does not tell its external address'))
      try {
        const bytes = encodeAnnounceRequest(clientAddress)
        await askBeyond({ gateway, port, bytes, match: acceptAnnounceReply, clock, open }, { signal })
      } catch (error) {
        if (signal.aborted) return
        if (!isNatError(error)) throw error
        return absent(error)
      }
      const tell = (what: 'restarted' | 'address-changed' | 'gone'): void => {
        if (!signal.aborted) found({ kind: 'notice', what, about: mapper })
      }
      const client = createClient(
        { host, gateway, family: 4, port, line: lineBeyond(gateway.address) },
        { restarted: () => tell('restarted'), otherVersion: () => tell('gone') }
      )
      const addressChanged = (): void => tell('address-changed')
      const mapper = createMapper({ client, gateway, family: 4, clock, granted: () => undefined, addressChanged })
      found(mapper)
      await untilAborted(signal)
    }

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
      asksBeyond: true,
      ...(named === undefined ? {} : { gateway: named }),
      async discover(network, found, { signal }) {
        const discoverFamily = async (family: Family): Promise<void> => {
          const gateways = await chooseGateways(network, named, family, { signal }, open)
          // A pinhole for an address that is not global is useless.
          const useful = gateways.filter(
            ({ localAddress }) => family === 4 || named !== undefined || isGlobal(localAddress)
          )
          await Promise.all(
            useful.map((gateway) =>
              gateway.through === undefined
                ? discoverOn(gateway, family, useful, found, { signal })
                : discoverBeyond(gateway, found, { signal })
            )
          )
        }
        await Promise.all([discoverFamily(4), discoverFamily(6)])
      }
    }
    return discovery
  }
}
