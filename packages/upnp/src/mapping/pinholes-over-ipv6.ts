import {
  type CallOptions,
  errorText,
  familyOf,
  type Gateway,
  type Host,
  hasNextHop,
  isGlobal,
  type Mapper,
  type Network,
  type Notice,
  natError,
  printable
} from '@postern/interface'
import { interfaceOf } from '@postern/net'
import { type Client, createClient } from '../device/client.js'
import { faultError } from '../device/soap.js'
import type { Settings } from '../settings.js'
import { seekDevice } from '../ssdp/find-device.js'
import { roundMs } from '../ssdp/search.js'
import { createPinholeMapper } from './pinhole.js'

/** The options of {@link offerPinholes}. */
export interface PinholeOffer {
  readonly host: Host
  readonly settings: Settings
  readonly network: Network
  /** The IPv4 gateway of the device. */
  readonly gateway: Gateway
  /** The device, over IPv4. */
  readonly client: Client
  /** Called with the mapper for pinholes. */
  readonly found: (mapper: Mapper) => void
  /** Called if the router does not allow pinholes. */
  readonly notice: (notice: Notice) => void
}

/** Offers IPv6 pinholes if the device supports them and this host has a global IPv6 address on that link. Rejects with
 * a NatError of the device. */
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

  /** Returns the number of search rounds. A device that is slow over IPv4 is also slow over IPv6. */
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

/** The number of search rounds for a device that is slow, or that refused over IPv4: about 10 s. */
const patientRounds = 4

interface Ipv6Client {
  readonly host: Host
  readonly settings: Settings
  readonly link: Gateway
  readonly address: string
  readonly otherwise: Client
  /** The maximum number of search rounds. */
  readonly rounds: number
}

/** Resolves to a client that asks over IPv6, from the address to which the pinhole leads, as WANIPv6FirewallControl:1
 * §2.3.7 requires. If the device is not found over IPv6, resolves to the client over IPv4, which some devices allow. */
async function clientOverIpv6(options: Ipv6Client, call: CallOptions): Promise<Client> {
  const { host, settings, link, address, otherwise, rounds } = options
  if (familyOf(link.address) !== 6) return otherwise
  // A forged answer may name any host on the link, so always connect to the router itself.
  const exchangeHttp: Settings['exchangeHttp'] = (exchange, own) =>
    settings.exchangeHttp({ ...exchange, connectTo: link.address }, own)
  const seek = (own: CallOptions, maxRounds = 1): ReturnType<typeof seekDevice>['device'] => {
    const gateway = { ...link, localAddress: address }
    const isSought = ({ firewall }: Client['device']): boolean => firewall !== undefined
    return seekDevice(
      { host, settings: { ...settings, exchangeHttp }, gateway, rounds: maxRounds, absent: () => undefined, isSought },
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

/** Returns the IPv6 gateway of the same link, with a global address of this host; undefined if this host has none
 * there. */
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
