import type { PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { canonicalAddress, familyOf, parseDialAddress } from '@postern/interface'
import type { AutonatServerComponents } from './server.js'
import type { ServerSettings } from './server-options.js'
import { type Route, routeOf } from './route.js'

/** The address of a request that is dialled. */
export interface Choice {
  readonly index: number
  /** With the peer id of whoever asks at its end. */
  readonly address: Multiaddr
  readonly route: Route
}

/** A peer that sends more has no use for an answer. */
const mostAddresses = 50

/** The first address that this node is willing to dial for a peer: "The server MUST NOT dial any address other than this
 * one." Names are not dialled: they may point anywhere, and elsewhere the next moment. What is dialled is built from the
 * parts that were checked, so that nothing else in the peer's bytes can lead anywhere. */
export function findChoice(
  addresses: readonly Uint8Array[],
  peerId: PeerId,
  components: AutonatServerComponents,
  settings: ServerSettings
): Choice | undefined {
  const isOwn = ownAddresses(components, settings)
  const canDial6 = settings.hostAddresses().some((each) => familyOf(each) === 6 && settings.mayDial(each))

  for (const [index, bytes] of addresses.slice(0, mostAddresses).entries()) {
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

/** The text of a multiaddr; undefined for bytes that are none. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return multiaddr(bytes).toString()
  } catch {
    return undefined
  }
}

/** Whether a route leads to this node itself. */
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
