import type { PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { canonicalAddress, familyOf, parseDialAddress } from '@postern/interface'
import { type Route, routeOf } from '@postern/libp2p-utils'
import type { ServerSettings } from './options.js'
import type { AutonatServerComponents } from './types.js'

/** The address of a request that the server dials. */
export interface Choice {
  /** Its position in the request. */
  readonly index: number
  /** The multiaddr, with the peer id of the requesting peer at its end. */
  readonly address: Multiaddr
  readonly route: Route
}

/** No honest peer sends more addresses. */
const maxAddresses = 50

/**
 * Returns the first address that this node is willing to dial for a peer: "The server MUST NOT dial any address other
 * than this one." DNS names are not dialled, since they may resolve to any address and change at any time. The dialled
 * address is rebuilt from the checked parts, so that no other part of the peer's bytes can redirect the dial.
 */
export function findChoice(
  addresses: readonly Uint8Array[],
  peerId: PeerId,
  components: AutonatServerComponents,
  settings: ServerSettings
): Choice | undefined {
  const isOwn = ownAddresses(components, settings)
  const canDial6 = settings.hostAddresses().some((each) => familyOf(each) === 6 && settings.mayDial(each))

  for (const [index, bytes] of addresses.slice(0, maxAddresses).entries()) {
    const text = textOf(bytes)
    const place = text === undefined ? undefined : parseDialAddress(text)
    const route = place === undefined ? undefined : routeOf(place.text)
    if (place === undefined || route === undefined || !settings.mayDial(route.host) || isOwn(route)) continue
    if (route.family === 6 && !canDial6) continue
    if (route.peerId !== undefined && route.peerId !== peerId.toString()) continue
    const named = multiaddr(place.text)
    const address = route.peerId === undefined ? named.encapsulate(`/p2p/${peerId.toString()}`) : named
    if (components.transportManager.dialTransportForMultiaddr(address) === undefined) continue
    return { index, address, route }
  }
  return undefined
}

/** Returns the text of a multiaddr; undefined for invalid bytes. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return multiaddr(bytes).toString()
  } catch {
    return undefined
  }
}

/** Returns a predicate that tells whether a route leads to this node itself. */
function ownAddresses(
  { transportManager, addressManager }: AutonatServerComponents,
  { hostAddresses }: ServerSettings
): (route: Route) => boolean {
  const key = ({ host, transport, port }: Pick<Route, 'host' | 'transport' | 'port'>): string =>
    `${host} ${transport.split('/')[0]} ${port}`
  const listening = transportManager.getAddrs().flatMap((each) => routeOf(each) ?? [])
  const announced = addressManager.getAddresses().flatMap((each) => routeOf(each) ?? [])
  const hosts = hostAddresses().map((each) => canonicalAddress(each) ?? each)
  const own = new Set([
    ...[...listening, ...announced].map(key),
    ...listening.flatMap((route) => hosts.map((host) => key({ ...route, host })))
  ])
  return (route) => own.has(key(route))
}
