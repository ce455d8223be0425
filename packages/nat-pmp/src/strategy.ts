import {
  type CallOptions,
  type Discovery,
  type Finding,
  type Gateway,
  type Host,
  isNatError,
  type Mapper,
  type Network,
  type Strategy
} from '@postern/interface'
import { chooseGateways, hearAnnouncements, spacedHints, untilAborted } from '@postern/net'
import { createClient, waitsMs } from './client.js'
import { createMapper } from './mapper.js'
import { type NatPmpOptions, readOptions } from './options.js'

/** Silence for so many sendings (750 ms) is reported as absence, while the others go on. */
const provisionalSendings = 2
/** What is asked after an announcement: a router that just spoke is there. */
const hintWaitsMs = waitsMs.slice(0, 4)

/**
 * NAT-PMP (RFC 6886): asks the default gateway, or the one named, for external IPv4 ports.
 *
 * Throws a TypeError for a bad option; does nothing else until `discover` is called.
 */
export function natPmp(options: NatPmpOptions = {}): Strategy {
  const { gateway: named, port, announcementPort, openUdp } = readOptions(options)

  return (host: Host) => {
    async function discoverOn(
      gateway: Gateway,
      found: (finding: Finding) => void,
      { signal }: CallOptions
    ): Promise<void> {
      let mapper: Mapper | undefined
      const tell = (what: 'restarted' | 'address-changed'): void => {
        if (mapper !== undefined && !signal.aborted) found({ kind: 'notice', what, about: mapper })
      }
      const client = createClient(host, gateway, port, openUdp, {
        restarted: () => tell('restarted'),
        addressChanged: () => tell('address-changed')
      })

      const probe = async (waits: readonly number[]): Promise<string | undefined> => {
        try {
          await client.externalAddress({ signal }, waits)
          if (mapper === undefined) found((mapper = createMapper(client, gateway)))
          return undefined
        } catch (error) {
          if (signal.aborted) return undefined
          if (!isNatError(error)) throw error
          if (mapper === undefined) found({ kind: 'notice', what: 'absent', gateway, reason: error })
          return error.code
        }
      }

      const hints = spacedHints(() => probe(hintWaitsMs), host.clock, { signal })
      const family = 4
      const hearing = hearAnnouncements(
        {
          gateway,
          family,
          group: '224.0.0.1',
          port: announcementPort,
          fromPort: port,
          heard: hints.take,
          open: openUdp
        },
        { signal }
      )
      const refused = (await probe(waitsMs.slice(0, provisionalSendings))) === 'REFUSED'
      if (mapper === undefined && !refused && !signal.aborted) await probe(waitsMs.slice(provisionalSendings))
      if (await hearing) await untilAborted(signal)
      await hints.settled()
    }

    const discovery: Discovery = {
      name: 'nat-pmp',
      kind: 'mapper',
      ...(named === undefined ? {} : { gateway: named }),
      async discover(network: Network, found, { signal }) {
        const gateways = await chooseGateways(network, named, 4, { signal }, openUdp)
        await Promise.all(gateways.map((gateway) => discoverOn(gateway, found, { signal })))
      }
    }
    return discovery
  }
}
