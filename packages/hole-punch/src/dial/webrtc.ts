import type { Connection, PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, natError, within } from '@postern/interface'
import { isDirect } from '@postern/libp2p-utils'
import type { HolePunchHost } from '../host.js'

/** Time limit for ICE (ms), which tries its candidates for several seconds. */
export const iceMs = 20_000

/** Resolves with whether this node supports WebRTC and the peer announces a relayed WebRTC address. */
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
 * Establishes a WebRTC connection with ICE over the relayed path (libp2p/specs webrtc/webrtc.md), through the
 * application's `webRTC()` transport. It also works where TCP is filtered. Only the side that dialled the relayed
 * connection may call it; otherwise there would be two connections. Rejects with `NO_REPLY`, `UNREACHABLE`, libp2p's
 * error, or the signal's reason.
 */
export async function dialWebRtc(
  { clock, components: { connectionManager } }: HolePunchHost,
  relayed: Connection,
  call: CallOptions
): Promise<Connection> {
  const text = relayed.remoteAddr.toString()
  const circuit = text.slice(0, text.indexOf('/p2p-circuit'))
  const address = multiaddr(`${circuit}/p2p-circuit/webrtc/p2p/${relayed.remotePeer.toString()}`)
  const late = (): Error => natError('NO_REPLY', `ICE found no path within ${iceMs} ms`)
  const connection = await within(clock, iceMs, call, late, (bounded) =>
    connectionManager.openConnection(address, { ...bounded, force: true })
  )
  if (!isDirect(connection)) throw natError('UNREACHABLE', 'the WebRTC dial led to no direct connection')
  return connection
}
