import type { Connection, IdentifyResult, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, familyOf, isGlobal, natError } from '@postern/interface'
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
    throw natError('NO_SERVICE', 'somebody else has the announced address')
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
    const all = known?.addresses.map(({ multiaddr }) => multiaddr).filter((each) => isPublic(each, own())) ?? []
    return all.flatMap((each) => unnamed(peer, each) ?? [])
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

/** A peer could name anybody's address: private ones and ours are never dialled. */
function isPublic(address: Multiaddr, own: ReadonlySet<string>): boolean {
  if (address.getComponents().some(({ name }) => name === 'p2p-circuit' || name === 'webrtc')) return false
  const host = hostOf(address)
  return host !== undefined && familyOf(host) !== undefined && isGlobal(host) && !own.has(host)
}

/**
 * The address without the name of the peer; undefined where it is somebody else's. With the name libp2p would take the relayed
 * dial, where that is not quite over yet, for the same thing.
 */
function unnamed(peer: PeerId, address: Multiaddr): Multiaddr | undefined {
  const named = address.getComponents().find(({ name }) => name === 'p2p')?.value
  if (named === undefined) return address
  return named === peer.toString() ? address.decapsulate(`/p2p/${named}`) : undefined
}
