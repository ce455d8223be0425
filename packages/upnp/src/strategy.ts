import { createQueue, type Discovery, type Gateway, type Host, type Network, type Strategy } from '@postern/interface'
import { byGateway, chooseGateways, createAnswerTimes } from '@postern/net'
import { watchBeyond } from './gateway/watch-beyond.js'
import { watchGateway } from './gateway/watch-gateway.js'
import { offerPinholes } from './mapping/pinholes-over-ipv6.js'
import { readOptions, type UpnpOptions } from './options.js'
import { createPace, type Pace } from './ssdp/find-device.js'

/**
 * Creates a strategy for UPnP Internet Gateway Devices, versions 1 and 2. It asks the default gateways, or the one
 * named, for external IPv4 ports, and for IPv6 pinholes if the router supports them.
 *
 * Throws a TypeError for an invalid option. Sends nothing until `discover` is called.
 */
export function upnp(options: UpnpOptions = {}): Strategy {
  const given = readOptions(options)
  const { named, openUdp } = given

  return (host: Host) => {
    const settings = { ...given, lineOf: byGateway(() => ({ times: createAnswerTimes(), inTurn: createQueue() })) }
    /** The paces of searches by network: core restarts a search that found nothing, which must continue with the same
     * pauses. */
    const paces = new WeakMap<Network, Map<string, Pace>>()
    function paceAt(network: Network, { address, interface: link }: Gateway): Pace {
      const known = paces.get(network) ?? new Map<string, Pace>()
      paces.set(network, known)
      const key = `${address}%${link}`
      const pace = known.get(key) ?? createPace()
      known.set(key, pace)
      return pace
    }

    const discovery: Discovery = {
      name: 'upnp',
      asksBeyond: true,
      ...(named === undefined ? {} : { gateway: named }),
      async discover(network: Network, found, { signal }) {
        const gateways = await chooseGateways(network, named, 4, { signal }, openUdp)
        const watch = (gateway: Gateway): Promise<void> =>
          watchGateway({
            host,
            settings,
            gateway,
            pace: paceAt(network, gateway),
            others: gateways,
            found,
            offerMore: (client, offer, notice, call) =>
              offerPinholes({ host, settings, network, gateway, client, found: offer, notice }, call),
            signal
          })
        await Promise.all(
          gateways.map((gateway) =>
            gateway.through === undefined ? watch(gateway) : watchBeyond({ host, settings, gateway, found }, { signal })
          )
        )
      }
    }
    return discovery
  }
}
