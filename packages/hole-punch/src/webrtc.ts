import type { Connection, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, natError } from '@postern/interface'
import { within } from '@postern/net'
import type { HolePunchHost } from './host.js'
import { isDirect } from './relayed.js'

/** ICE tries its candidates for some seconds, in ms. */
export const iceMs = 20_000

/** Whether this node can speak WebRTC with a peer behind a relay, and the peer says that it can, too. */
export async function canWebRtc({ components }: HolePunchHost, peer: PeerId): Promise<boolean> {
  const isInstalled = components.transportManager
    .getTransports()
    .some((transport) => transport[Symbol.toStringTag] === '@libp2p/webrtc')
  if (!isInstalled) return false
  const known = await components.peerStore.get(peer).catch(() => undefined)
  const names = known?.addresses.map(({ multiaddr: address }) => address.getComponents().map(({ name }) => name)) ?? []
  return names.some((each) => each.includes('p2p-circuit') && each.includes('webrtc'))
}

/**
 * ICE through the relayed path (libp2p/specs webrtc/webrtc.md), by the user's own `webRTC()`: it meets where routers drop
 * what they do not expect, also where TCP is filtered. Only the side that dialled the relayed connection may do it, or there
 * would be two.
 */
export async function dialWebRtc(
  { clock, components: { connectionManager } }: HolePunchHost,
  relayed: Connection,
  call: CallOptions
): Promise<Connection> {
  const text = relayed.remoteAddr.toString()
  const circuit = text.slice(0, text.indexOf('/p2p-circuit'))
  const address = multiaddr(`${circuit}/p2p-circuit/webrtc/p2p/${relayed.remotePeer.toString()}`)
  const late = (): Error => natError('NO_REPLY', `ICE found no way within ${iceMs} ms`)
  const connection = await within(clock, iceMs, call, late, (bounded) =>
    connectionManager.openConnection(address, { ...bounded, force: true })
  )
  if (!isDirect(connection)) throw natError('UNREACHABLE', 'no direct connection came of it')
  return connection
}
