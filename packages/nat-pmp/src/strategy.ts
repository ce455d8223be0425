import {
  type CallOptions,
  type Discovery,
  type Finding,
  type Gateway,
  type Host,
  isNatError,
  type Mapper,
  type NatError,
  type Strategy
} from '@postern/interface'
import { byGateway, chooseGateways, createStrangers, createUdpLine, longerWaits, seek, waitsFor } from '@postern/net'
import { createClient, waitsMs } from './client.js'
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
      ...(named === undefined ? {} : { gateway: named }),
      async discover(network, found, { signal }) {
        const gateways = await chooseGateways(network, named, 4, { signal }, open)
        await Promise.all(gateways.map((gateway) => discoverOn(gateway, gateways, found, { signal })))
      }
    }
    return discovery
  }
}
