import type { Connection, IdentifyResult, PeerId } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, isGlobal, natError, parseDialAddress } from '@postern/interface'
import { orAborted, within } from '@postern/net'
import type { Budget } from './budget.js'
import type { HolePunchHost } from './host.js'
import { isDirect } from './relayed.js'
import { hostOf } from './targets.js'

/** Addresses of one peer that are tried. Verified ones come first in what peers announce. */
const mostAddresses = 8
/** One that is mapped answers within a round trip, in ms. */
const dialMs = 5000
/** Identify is through by then, or never is, in ms. */
const toldMs = 5000

/**
 * Dials what the peer announces: a mapped port or a public host needs nobody to meet. Through libp2p, and therefore with
 * every transport that the node has.
 *
 * Rejects with `NO_SERVICE` where the peer announces nothing public, with libp2p's error, or with a signal's reason.
 *
 * @param waiting - as long as something is to be dialled. A dial that has begun is left to itself: libp2p announces the
 *   connection before it has done with it, and whoever hears of it would end it
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
  const addresses = announced.filter((address) => budget.take(hostOf(address) ?? ''))
  waiting.signal.throwIfAborted()
  const late = (): Error => natError('NO_REPLY', `no announced address answered within ${dialMs} ms`)
  const connection = await within(clock, dialMs, call, late, (bounded) =>
    // There is a connection already, and it is the relayed one.
    components.connectionManager.openConnection([...addresses], { ...bounded, force: true })
  )
  if (!connection.remotePeer.equals(peer)) {
    connection.abort(new Error('it is not the peer that was meant'))
    throw natError('NO_SERVICE', 'another peer has the announced address')
  }
  if (!isDirect(connection)) throw natError('UNREACHABLE', 'only another relayed connection came of it')
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
  const { promise: told, resolve } = Promise.withResolvers<void>()
  const identified = ({ detail }: CustomEvent<IdentifyResult>): void => {
    if (detail.peerId.equals(peer)) resolve()
  }
  events.addEventListener('peer:identify', identified)
  try {
    let addresses = await read()
    if (addresses.length === 0) {
      const late = (): Error => natError('NO_SERVICE', 'the peer announces no public address')
      await within(clock, toldMs, call, late, (bounded) => orAborted(told, bounded))
      addresses = await read()
    }
    if (addresses.length === 0) throw natError('NO_SERVICE', 'the peer announces no public address')
    return addresses.slice(0, mostAddresses)
  } finally {
    events.removeEventListener('peer:identify', identified)
  }
}

/**
 * A public address of the peer, built from the parts that were checked; undefined for every other one. A peer could name the
 * address of a third party: private addresses and our own are never dialled.
 *
 * The id of the peer is left out. With it libp2p would take the relayed dial, where that is not quite over yet, for the
 * same one.
 */
function publicAddress(peer: PeerId, told: Multiaddr, own: ReadonlySet<string>): Multiaddr | undefined {
  const place = parseDialAddress(told.toString())
  if (place === undefined || !isGlobal(place.address) || own.has(place.address)) return undefined
  const { peerId, text } = place
  if (peerId === undefined) return multiaddr(text)
  return peerId === peer.toString() ? multiaddr(text.slice(0, -`/p2p/${peerId}`.length)) : undefined
}
