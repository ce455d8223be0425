import {
  type CallOptions,
  type Discovery,
  type Finding,
  type Gateway,
  type Host,
  isNatError,
  type Mapper,
  type NatError,
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
import { createClient, waitsMs } from './client.js'
import { decodeExternalAddressReply, encodeExternalAddressRequest } from './codec.js'
import { createMapper } from './mapper.js'
import { type NatPmpOptions, readOptions } from './options.js'

/**
 * Creates a strategy for NAT-PMP (RFC 6886), which asks the default gateways, or the one named, for external IPv4
 * ports.
 *
 * Throws a TypeError for an invalid option. Sends nothing until `discover` is called.
 */
export function natPmp(options: NatPmpOptions = {}): Strategy {
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
      const [bytes, match] = [encodeExternalAddressRequest(), decodeExternalAddressReply]
      try {
        await askBeyond({ gateway, port, bytes, match, clock: host.clock, open }, { signal })
      } catch (error) {
        if (signal.aborted) return
        if (!isNatError(error)) throw error
        return found({ kind: 'notice', what: 'absent', gateway, reason: error })
      }
      const tell = (what: 'restarted' | 'address-changed'): void => {
        if (!signal.aborted) found({ kind: 'notice', what, about: mapper })
      }
      const client = createClient(
        { host, gateway, port, line: lineBeyond(gateway.address) },
        { restarted: () => tell('restarted'), addressChanged: () => tell('address-changed') }
      )
      const mapper = createMapper(client, gateway, host.clock, () => undefined)
      found(mapper)
      await untilAborted(signal)
    }

    async function discoverOn(
      gateway: Gateway,
      others: readonly Gateway[],
      found: (finding: Finding) => void,
      { signal }: CallOptions
    ): Promise<void> {
      let mapper: Mapper | undefined
      /** Whether the last question led to a notice. */
      let hasTold = false
      let hasGranted = false
      const tell = (what: 'restarted' | 'address-changed' | 'announced'): void => {
        hasTold = true
        if (mapper !== undefined && !signal.aborted) found({ kind: 'notice', what, about: mapper })
      }
      const line = lineOf(gateway.address)
      const { times } = line
      const client = createClient(
        { host, gateway, port, line },
        {
          restarted: () => tell('restarted'),
          addressChanged: () => tell('address-changed'),
          answeredElsewhere:
            named === undefined
              ? createStrangers({ strategy: 'nat-pmp', host, gateway, family: 4, others, found })
              : undefined
        }
      )

      const ask = async (waits: readonly number[], call: CallOptions): Promise<void> => {
        hasTold = false
        try {
          // A known gateway gets at least three times its fastest answer time.
          const enough = mapper === undefined ? waits : longerWaits(waits, waitsFor(3 * times.fastestMs()))
          await client.inTurn(() => client.externalAddress(call, enough), call)
          if (mapper !== undefined || signal.aborted) return
          mapper = createMapper(client, gateway, host.clock, () => {
            hasGranted = true
          })
          found(mapper)
        } catch (error) {
          if (mapper === undefined && isNatError(error) && !call.signal.aborted) {
            found({ kind: 'notice', what: 'absent', gateway, reason: error })
          }
          throw error
        }
      }
      const family = 4
      const announcements = {
        gateway,
        family,
        group: '224.0.0.1',
        port: announcementPort,
        fromPort: port,
        open,
        unheard: (reason: NatError) => {
          if (!signal.aborted) found({ kind: 'notice', what: 'unheard', gateway, reason })
        }
      } as const
      const announced = (): void => {
        if (hasGranted && !hasTold) tell('announced')
      }
      const isFound = (): boolean => mapper !== undefined
      await seek({ clock: host.clock, ask, isFound, announced, waitsMs, announcements }, { signal })
    }

    const discovery: Discovery = {
      name: 'nat-pmp',
      kind: 'mapper',
      asksBeyond: true,
      ...(named === undefined ? {} : { gateway: named }),
      async discover(network, found, { signal }) {
        const gateways = await chooseGateways(network, named, 4, { signal }, open)
        await Promise.all(
          gateways.map((gateway) =>
            gateway.through === undefined
              ? discoverOn(gateway, gateways, found, { signal })
              : discoverBeyond(gateway, found, { signal })
          )
        )
      }
    }
    return discovery
  }
}
