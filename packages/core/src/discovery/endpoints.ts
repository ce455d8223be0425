import {
  canonicalAddress,
  classOf,
  type Endpoint,
  type Family,
  familyOf,
  type Gateway,
  hasNextHop,
  isWildcard,
  type Mapper,
  type MultiaddrText,
  type Network,
  parseMultiaddr
} from '@postern/interface'
import { shown } from '../check-options.js'
import type { StrategyEntry } from './discoveries.js'

/** An endpoint that should be reachable. */
export interface WantedEndpoint {
  /** The endpoint as given; its address may be a wildcard. */
  readonly endpoint: Endpoint
  /** The external port to request first; undefined leaves the choice to the traversal. */
  readonly externalPort: number | undefined
  readonly lifetimeMs: number
  /** What follows the port in the endpoint's addresses; empty for plain TCP and UDP. */
  readonly suffix: string
  /** Only if the endpoint is an external address and port of the next hop, to be mapped by the router behind it: the
   * socket of this host that it leads to. */
  readonly origin?: Endpoint
}

/** Appends the endpoint's suffix to an address, unless the address already has something after the port. */
export const withSuffix = (address: MultiaddrText, { suffix }: Pick<WantedEndpoint, 'suffix'>): MultiaddrText =>
  parseMultiaddr(address)?.rest === '' ? `${address}${suffix}` : address

/** Throws a TypeError for an invalid endpoint. */
export function checkEndpoint({ protocol, family, address, port }: Endpoint): void {
  if (protocol !== 'tcp' && protocol !== 'udp')
    throw new TypeError(`protocol is neither tcp nor udp: ${String(protocol)}`)
  if (familyOf(address) !== family) throw new TypeError(`not an IPv${family} address: ${address}`)
  checkPort('port', port)
}

export function checkPort(name: string, port: number): void {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return
  throw new TypeError(`${name} is not a number in 1…65535: ${shown(port)}`)
}

/** Throws a TypeError for text that cannot follow a port in a multiaddr. */
export function checkSuffix(suffix: string): void {
  if (!/^(\/[^/\s]+)*$/.test(suffix)) throw new TypeError(`suffix is not like /ws or /quic-v1: ${suffix}`)
}

export const wantKey = ({ protocol, family, address, port }: Endpoint): string =>
  `${protocol} ${family} ${canonicalAddress(address)} ${port}`

export const isLoopback = ({ address }: Endpoint): boolean => classOf(address) === 'loopback'

/** Returns the default gateway of an address family. */
export const primaryGateway = ({ gateways }: Network, family: 4 | 6): Gateway | undefined =>
  gateways.find(({ address }) => familyOf(address) === family)

/**
 * Whether a mapper's gateway forwards this host's replies. A mapping on any other gateway would be granted, and
 * unreachable.
 *
 * A gateway that the user named is always on the path. An IPv6 mapper that was found through the router's IPv4
 * address is on the path if that address is.
 */
export function isOnPath(mapper: Mapper, entry: Pick<StrategyEntry, 'named'>, network: Network): boolean {
  if (mapper.gateway === null || entry.named !== undefined) return true
  const { through } = mapper.gateway
  // Behind the next hop it is not known which of several routers is on the path.
  if (through !== undefined)
    return network.gateways.some((each) => isSameGateway(each, mapper.gateway) || isSameGateway(each, through.gateway))
  const family = familyOf(mapper.gateway.address)
  const primary = family === undefined ? undefined : primaryGateway(network, family)
  if (primary === undefined || !hasNextHop(primary)) return false
  return isSameGateway(primary, mapper.gateway)
}

const isSameGateway = (one: Gateway, other: Gateway | null): boolean =>
  other !== null &&
  canonicalAddress(one.address) === canonicalAddress(other.address) &&
  one.interface === other.interface

/**
 * Whether a gateway is known not to forward this host's replies, because the default route of its family leads
 * elsewhere.
 *
 * False for a gateway on this host, and if the host has no default route of the family.
 */
export function isOffRoute(gateway: Gateway, network: Network): boolean {
  if (gateway.through !== undefined) return isOffRoute(gateway.through.gateway, network)
  const family = familyOf(gateway.address)
  const primary = family === undefined ? undefined : primaryGateway(network, family)
  if (primary === undefined || isOurs(gateway.address, network)) return false
  if (!hasNextHop(primary)) return true
  // An IPv6 next hop is a link-local address: it may be the router that the user named by another address.
  if (family === 6 && classOf(primary.address) !== classOf(gateway.address)) return false
  return canonicalAddress(primary.address) !== canonicalAddress(gateway.address)
}

/**
 * Returns the next hop that is before a gateway which the user named; undefined if the gateway is on a network of this
 * host, as far as the addresses show that.
 */
export function nextHopBefore(gateway: Gateway, network: Network): Gateway | undefined {
  const primary = familyOf(gateway.address) === 4 ? primaryGateway(network, 4) : undefined
  if (primary === undefined || primary.interface !== gateway.interface || !isOffRoute(gateway, network))
    return undefined
  return subnetOf(gateway.address) === subnetOf(primary.localAddress) ? undefined : primary
}

/** Returns the /24 of an IPv4 address, as text to compare. */
export const subnetOf = (address: string): string => (canonicalAddress(address) ?? '').split('.').slice(0, 3).join('.')

/** Returns {@link isOffRoute} for the present network. It remembers the answer for each gateway until the network changes,
 * because a report asks for every candidate, and thousands of candidates share a gateway. */
export function createRouteCheck(network: () => Network): (gateway: Gateway) => boolean {
  let known = new WeakMap<Gateway, boolean>()
  let knownFor: Network | undefined
  return (gateway) => {
    const now = network()
    if (now !== knownFor) {
      known = new WeakMap()
      knownFor = now
    }
    const before = known.get(gateway)
    if (before !== undefined) return before
    const answer = isOffRoute(gateway, now)
    known.set(gateway, answer)
    return answer
  }
}

/** Returns the endpoint as a mapper must see it, without wildcards; undefined if the mapper cannot serve it. */
export function endpointFor(want: WantedEndpoint, mapper: Mapper, network: Network): Endpoint | undefined {
  const { endpoint } = want
  if (mapper.family !== endpoint.family || !mapper.protocols.includes(endpoint.protocol)) return undefined
  const ours = mapper.gateway?.localAddress ?? localAddress(network, endpoint.family)
  if (isWildcard(endpoint.address)) return ours === undefined ? undefined : { ...endpoint, address: ours }
  // A router cannot send to a loopback address, unless it is on loopback itself.
  if (isLoopback(endpoint) && mapper.gateway !== null && classOf(mapper.gateway.localAddress) !== 'loopback')
    return undefined
  return endpoint
}

export function localAddress(network: Network, family: 4 | 6): string | undefined {
  return (
    primaryGateway(network, family)?.localAddress ?? network.addresses.find((address) => familyOf(address) === family)
  )
}

/** Whether an endpoint without wildcards is a socket of the wanted one. */
export const isSameListener = (one: Endpoint | null, { endpoint }: WantedEndpoint): boolean =>
  one !== null &&
  one.protocol === endpoint.protocol &&
  one.family === endpoint.family &&
  one.port === endpoint.port &&
  (isWildcard(endpoint.address) || canonicalAddress(one.address) === canonicalAddress(endpoint.address))

/** Whether an address belongs to this host now. */
export const isOurs = (address: string, { addresses, gateways }: Network): boolean =>
  classOf(address) === 'loopback' ||
  [...addresses, ...gateways.map((gateway) => gateway.localAddress)].some(
    (ours) => canonicalAddress(ours) === canonicalAddress(address)
  )

/** Returns the external port to request if the application names none. Ports below 1024 are requested only by name. */
export const ownPort = (port: number): number => (port < 1024 ? 49_152 + port : port)

/** Returns the families in which the network differs: in the default gateway, or in this host's addresses. Other
 * default routes are not used, and any neighbour can add and remove them, so they do not count. A hardware address
 * that appears or disappears is no change; a different one is. */
export function changedFamilies(one: Network, other: Network): readonly Family[] {
  return families.filter((family) => {
    const [before, after] = [primaryGateway(one, family), primaryGateway(other, family)]
    const isMoved = before?.mac !== undefined && after?.mac !== undefined && before.mac !== after.mac
    return isMoved || placeIn(one, before, family) !== placeIn(other, after, family)
  })
}

const families: readonly Family[] = [4, 6]

function placeIn({ addresses }: Network, gateway: Gateway | undefined, family: Family): string {
  const ours = addresses.filter((address) => familyOf(address) === family).toSorted()
  return JSON.stringify([gateway?.address, gateway?.interface, gateway?.localAddress, ours])
}
