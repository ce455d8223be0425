import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import { printable } from '@postern/interface'
import { readDialAddress } from './peers.js'
import { formatMs } from './terminal.js'

/** What a connection to a peer is like. */
export interface Dialled {
  readonly address: string
  readonly peerId: string
  /** Where the connection leads. */
  readonly remoteAddress: string
  /** False: a relay stands between. */
  readonly direct: boolean
  /** What the relay lets through; null where it sets no limit, or there is none. */
  readonly limits: { readonly seconds: number | null; readonly bytes: number | null } | null
  readonly connectMs: number
  /** There and back, over the connection that is there then. */
  readonly rttMs: number
}

interface Ping {
  ping(peer: PeerId, options?: AbortOptions): Promise<number>
}

/** Connects to a peer, also where there is a connection already, and measures the way there and back. */
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

export function formatDialled({ direct, limits, remoteAddress, connectMs, rttMs }: Dialled): string {
  const most = [
    ...(limits?.seconds == null ? [] : [`${limits.seconds} s`]),
    ...(limits?.bytes == null ? [] : [`${Math.round(limits.bytes / 1024)} KiB`])
  ]
  const how = direct ? 'directly' : `through a relay${most.length === 0 ? '' : ` (at most ${most.join(' or ')})`}`
  return `connected ${how} to ${remoteAddress} in ${formatMs(connectMs)}, round trip ${formatMs(rttMs)}`
}
