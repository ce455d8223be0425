import {
  type CallOptions,
  errorText,
  familyOf,
  type Gateway,
  hasNextHop,
  type Host,
  isGlobal,
  type Mapper,
  type Network,
  natError,
  type Notice,
  printable
} from '@postern/interface'
import { interfaceOf } from '@postern/net'
import { type Client, createClient } from './client.js'
import type { Settings } from './options.js'
import { createPinholeMapper } from './pinhole.js'
import { roundMs } from './search.js'
import { seekDevice } from './seek.js'
import { faultError } from './soap.js'

export interface PinholeOffer {
  readonly host: Host
  readonly settings: Settings
  readonly network: Network
  /** The IPv4 gateway whose device it is. */
  readonly gateway: Gateway
  /** The device, over IPv4. */
  readonly client: Client
  readonly found: (mapper: Mapper) => void
  readonly notice: (notice: Notice) => void
}

/** Offers IPv6 pinholes if the device opens them, and we have an address on that link which they could lead to. */
export async function offerPinholes(offer: PinholeOffer, call: CallOptions): Promise<void> {
  const { host, settings, network, gateway, client, found, notice } = offer
  const link = ipv6Link(network, gateway)
  if (client.device.firewall === undefined || link === undefined) return
  const reply = await client.call('firewall', 'GetFirewallStatus', {}, call)
  if (!reply.ok) throw faultError('GetFirewallStatus', reply.fault, reply.description)
  const isSet = (name: string): boolean => ['1', 'true', 'yes'].includes(reply.values.get(name)?.toLowerCase() ?? '')
  if (!isSet('firewallenabled')) return host.log.debug(`upnp: no IPv6 firewall on ${gateway.address}`)
  if (!isSet('inboundpinholeallowed')) {
    const reason = natError('PINHOLES_DISABLED', `${gateway.address} has an IPv6 firewall and allows no pinholes`)
    return notice({ kind: 'notice', what: 'absent', gateway: link, reason })
  }

  /** A device that is slow over IPv4 is slow over IPv6 as well. */
  const quickRounds = (): number => (2 * client.times.slowestMs() > roundMs ? patientRounds : 1)
  const clients = new Map<string, Promise<Client>>()
  const clientFor = async (address: string, own: CallOptions, rounds: number): Promise<Client> => {
    const made =
      clients.get(address) ?? clientOverIpv6({ host, settings, link, address, otherwise: client, rounds }, own)
    clients.set(address, made)
    return made.catch((error: unknown) => {
      clients.delete(address)
      throw error
    })
  }
  found(
    createPinholeMapper(link, {
      host,
      clientFor: (address, own) => clientFor(address, own, quickRounds()),
      async patientClientFor(address, own) {
        if ((await clientFor(address, own, quickRounds())) === client) clients.delete(address)
        return clientFor(address, own, patientRounds)
      }
    })
  )
}

/** Rounds of a search for a device that does not do over IPv4 what it is asked for: about 10 s. */
const patientRounds = 4

interface Ipv6Client {
  readonly host: Host
  readonly settings: Settings
  readonly link: Gateway
  readonly address: string
  readonly otherwise: Client
  /** Of the search, at most. */
  readonly rounds: number
}

/** WANIPv6FirewallControl:1 §2.3.7: who asks must be who the pinhole leads to, so the device is asked over IPv6, from that
 * address. A device that is not found over IPv6 is asked over IPv4, which some allow. */
async function clientOverIpv6(options: Ipv6Client, call: CallOptions): Promise<Client> {
  const { host, settings, link, address, otherwise, rounds } = options
  if (familyOf(link.address) !== 6) return otherwise
  // Its answer can be forged, and names any host of the link: whatever it names, the router itself is connected to.
  const exchangeHttp: Settings['exchangeHttp'] = (exchange, own) =>
    settings.exchangeHttp({ ...exchange, connectTo: link.address }, own)
  const seek = (own: CallOptions, most = 1): ReturnType<typeof seekDevice>['device'] => {
    const gateway = { ...link, localAddress: address }
    const isSought = ({ firewall }: Client['device']): boolean => firewall !== undefined
    return seekDevice(
      { host, settings: { ...settings, exchangeHttp }, gateway, rounds: most, absent: () => undefined, isSought },
      own
    ).device
  }
  try {
    const device = await seek(call, rounds)
    const web = { clock: host.clock, exchangeHttp, ...settings.lineOf(link.address) }
    return createClient({ web, device, lookAgain: (own) => seek(own), localAddress: address })
  } catch (error) {
    call.signal.throwIfAborted()
    host.log.debug(`upnp: ${link.address} does not answer over IPv6: ${printable(errorText(error))}`)
    return otherwise
  }
}

/** The gateway of the same link over IPv6, with an address of ours that the internet can reach. */
function ipv6Link(network: Network, gateway: Gateway): Gateway | undefined {
  const hop = network.gateways.find(
    (each) => familyOf(each.address) === 6 && each.interface === gateway.interface && hasNextHop(each)
  )
  if (hop !== undefined && isGlobal(hop.localAddress)) return hop
  const own = network.addresses.find(
    (address) => familyOf(address) === 6 && isGlobal(address) && interfaceOf(address) === gateway.interface
  )
  return own === undefined ? undefined : { ...(hop ?? gateway), localAddress: own }
}
