import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import { printable } from '@postern/interface'
import { readDialAddress } from '../../shared/peers.js'
import { formatMs } from '../../shared/terminal.js'

/** The properties of a connection to a peer. */
export interface Dialled {
  readonly address: string
  readonly peerId: string
  /** The remote address of the connection. */
  readonly remoteAddress: string
  /** False if the connection goes through a relay. */
  readonly direct: boolean
  /** The limits of the relay; null if it sets none, or if there is no relay. */
  readonly limits: { readonly seconds: number | null; readonly bytes: number | null } | null
  readonly connectMs: number
  /** The round-trip time over the connection that is used then. */
  readonly rttMs: number
}

interface Ping {
  ping(peer: PeerId, options?: AbortOptions): Promise<number>
}

/** Connects to a peer, even if there is a connection already, and measures the round-trip time. */
export async function dialOnce(
  node: Libp2p,
  pings: Ping,
  address: string,
  { signal }: { readonly signal: AbortSignal }
): Promise<Dialled> {
  const began = performance.now()
  const connection = await node.dial(readDialAddress(address), { force: true, signal })
  const connectMs = Math.round(performance.now() - began)
  const { limits, direct, remoteAddr, remotePeer } = connection
  const { seconds = null, bytes = null } = limits ?? {}
  return {
    address,
    peerId: remotePeer.toString(),
    remoteAddress: printable(remoteAddr.toString()),
    direct: direct && limits === undefined,
    limits: limits === undefined ? null : { seconds, bytes: bytes === null ? null : Number(bytes) },
    connectMs,
    rttMs: await pings.ping(remotePeer, { signal })
  }
}

/** Formats the properties of a connection. */
export function formatDialled({ direct, limits, remoteAddress, connectMs, rttMs }: Dialled): string {
  const limitTexts = [
    ...(limits?.seconds == null ? [] : [`${limits.seconds} s`]),
    ...(limits?.bytes == null ? [] : [`${Math.round(limits.bytes / 1024)} KiB`])
  ]
  const how = direct
    ? 'directly'
    : `through a relay${limitTexts.length === 0 ? '' : ` (at most ${limitTexts.join(' or ')})`}`
  return `connected ${how} to ${remoteAddress} in ${formatMs(connectMs)}, round trip ${formatMs(rttMs)}`
}
