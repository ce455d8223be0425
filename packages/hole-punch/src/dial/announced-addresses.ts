import type { Connection, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, isGlobal, natError, orAborted, parseDialAddress, within } from '@postern/interface'
import { ipOf, isDirect, nextIdentify } from '@postern/libp2p-utils'
import type { HolePunchHost } from '../host.js'
import type { Budget } from './syn-budget.js'

/** The maximum number of dialled addresses of one peer. Peers announce verified addresses first. */
const maxAddresses = 8
/** Time limit of the dial (ms). A mapped address answers within a round trip. */
const dialMs = 5000
/** How long to wait for identify to report the addresses of the peer (ms). It runs right after the relayed connection
 * opens. */
const toldMs = 5000

/**
 * Dials the addresses that the peer announces: a mapped port or a public host needs no simultaneous open. Dials through
 * libp2p, and therefore with every transport of the node.
 *
 * Rejects with `NO_SERVICE` if the peer announces no public address or another peer answers, with `NO_REPLY` after the
 * time limit, with `UNREACHABLE` if only a relayed connection was established, with libp2p's error, or with a signal's
 * reason.
 *
 * @param waiting - its signal prevents a dial that has not begun. A dial in progress must not be aborted: libp2p
 * announces the connection before the dial is complete, and the abort that follows would close that connection
 */
export async function dialAnnounced(
  host: HolePunchHost,
  peer: PeerId,
  own: () => ReadonlySet<string>,
  budget: Budget,
  waiting: CallOptions,
  call: CallOptions
): Promise<Connection> {
  const { clock, components } = host
  const announced = await findAnnounced(host, peer, own, waiting)
  const addresses = announced.filter((address) => budget.take(ipOf(address) ?? ''))
  waiting.signal.throwIfAborted()
  const late = (): Error => natError('NO_REPLY', `no announced address answered within ${dialMs} ms`)
  const connection = await within(clock, dialMs, call, late, (bounded) =>
    // `force` is needed because a connection exists already: the relayed one.
    components.connectionManager.openConnection([...addresses], { ...bounded, force: true })
  )
  if (!connection.remotePeer.equals(peer)) {
    connection.abort(new Error('another peer answered at this address'))
    throw natError('NO_SERVICE', 'another peer has the announced address')
  }
  if (!isDirect(connection)) throw natError('UNREACHABLE', 'the dial led to another relayed connection only')
  return connection
}

async function findAnnounced(
  { clock, components: { events, peerStore } }: HolePunchHost,
  peer: PeerId,
  own: () => ReadonlySet<string>,
  call: CallOptions
): Promise<readonly Multiaddr[]> {
  const read = async (): Promise<readonly Multiaddr[]> => {
    const known = await peerStore.get(peer).catch(() => undefined)
    return known?.addresses.flatMap((each) => publicAddress(peer, each.multiaddr, own()) ?? []) ?? []
  }
  const identified = nextIdentify(events, ({ peerId }) => peerId.equals(peer))
  try {
    let addresses = await read()
    if (addresses.length === 0) {
      const late = (): Error => natError('NO_SERVICE', 'the peer announces no public address')
      await within(clock, toldMs, call, late, (bounded) => orAborted(identified.result, bounded))
      addresses = await read()
    }
    if (addresses.length === 0) throw natError('NO_SERVICE', 'the peer announces no public address')
    return addresses.slice(0, maxAddresses)
  } finally {
    identified.stop()
  }
}

/**
 * Returns a public address of the peer, rebuilt from its checked parts; undefined for any other address. A peer could
 * name any address, so private addresses and our own are never dialled.
 *
 * Omits the peer id. With it, libp2p would merge this dial with a relayed dial that is still in progress.
 */
function publicAddress(peer: PeerId, told: Multiaddr, own: ReadonlySet<string>): Multiaddr | undefined {
  const place = parseDialAddress(told.toString())
  if (place === undefined || !isGlobal(place.address) || own.has(place.address)) return undefined
  const { peerId, text } = place
  if (peerId === undefined) return multiaddr(text)
  return peerId === peer.toString() ? multiaddr(text.slice(0, -`/p2p/${peerId}`.length)) : undefined
}
