import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, type Clock, isNatError, printable, within } from '@postern/interface'
import { isDirect } from '@postern/libp2p-utils'
import { late } from '../../shared/late.js'
import { reasonOf } from '../../shared/libp2p-stack.js'
import type { TunnelNode } from './make-node.js'

/** What became of the attempt to replace a relayed connection by a direct one. */
export type Upgraded =
  | { readonly event: 'upgraded'; readonly address: string }
  | { readonly event: 'not-direct'; readonly code: string | null; readonly message: string }

/** The time limit for connecting to the peer, in ms, through several relays and at several addresses. */
export const dialMs = 15_000
/** The time limit for a direct connection, in ms: hole punching has several rounds of a few seconds. */
const upgradeMs = 30_000

/** Returns the open connections to a peer, the direct ones first. */
export function openConnections(node: Pick<TunnelNode, 'getConnections'>, peer: PeerId): readonly Connection[] {
  const open = node.getConnections(peer).filter(({ status }) => status === 'open')
  return [...open.filter(isDirect), ...open.filter((each) => !isDirect(each))]
}

/** Dials a peer at all of the addresses. Resolves to the best connection to it. Rejects with the error of libp2p, or with
 * the signal's reason. */
export async function dialPeer(
  node: Pick<TunnelNode, 'dial' | 'getConnections'>,
  peer: PeerId,
  addresses: readonly Multiaddr[],
  call: CallOptions
): Promise<Connection> {
  await node.dial([...addresses], call)
  const [best] = openConnections(node, peer)
  if (best === undefined) throw new Error('the connection was closed at once')
  return best
}

/** Makes the connection to a peer direct. Resolves to undefined if the signal aborts or the peer is gone; never rejects. */
export async function upgradePeer(
  node: TunnelNode,
  peer: PeerId,
  { clock, signal }: CallOptions & { readonly clock: Clock }
): Promise<Upgraded | undefined> {
  try {
    const { remoteAddr } = await within(clock, upgradeMs, { signal }, late, (call) =>
      node.services.nat.direct(peer, call)
    )
    return { event: 'upgraded', address: printable(remoteAddr.toString()) }
  } catch (error) {
    if (signal.aborted || openConnections(node, peer).length === 0) return undefined
    return { event: 'not-direct', code: isNatError(error) ? error.code : null, message: reasonOf(error) }
  }
}
