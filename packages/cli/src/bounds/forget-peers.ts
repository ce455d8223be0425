import type { Connection, Libp2pEvents, Peer, PeerId, PeerStore, Startable, TypedEventTarget } from '@libp2p/interface'

/** The options of {@link forgetPeers}. */
export interface ForgetPeersInit {
  /** Returns whether to keep the data of a peer after it has disconnected.
   * @default no peer is kept */
  readonly isKept?: (peer: PeerId) => boolean
}

/** The libp2p components that the service needs. */
export interface ForgetPeersComponents {
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly peerStore: Pick<PeerStore, 'delete'>
  readonly connectionManager: { getConnections(peer: PeerId): Connection[] }
}

/** How long after a disconnect identify may still update a peer, in ms. */
const afterwardsMs = 10_000

/** A libp2p service that removes a peer from the peer store when its last connection is closed. */
export interface ForgetPeers extends Startable {
  /** The number of peers that were removed. */
  readonly forgotten: number
}

/**
 * Removes the data of disconnected peers. libp2p keeps each identified peer for six hours: up to 33 kB with its
 * addresses, signed record and protocols. Peer ids cost nothing, so an attacker could fill the memory.
 */
export const forgetPeers =
  ({ isKept = () => false }: ForgetPeersInit = {}) =>
  ({ events, peerStore, connectionManager }: ForgetPeersComponents): ForgetPeers => {
    let forgotten = 0
    /** The times of the disconnects of the last seconds. */
    const gone = new Map<string, number>()

    async function forget(peer: PeerId): Promise<void> {
      if (isKept(peer) || connectionManager.getConnections(peer).length > 0) return
      try {
        await peerStore.delete(peer)
        forgotten++
      } catch (error) {
        // The node is stopping, together with its store.
        if (!(error instanceof Error)) throw error
      }
    }
    const disconnected = ({ detail }: CustomEvent<PeerId>): void => {
      const nowMs = performance.now()
      for (const [id, atMs] of gone) if (nowMs - atMs > afterwardsMs) gone.delete(id)
      gone.set(detail.toString(), nowMs)
      void forget(detail)
    }
    /** Removes data that arrives after the disconnect, because identify may end later than the connection. Data that
     * arrives before a peer is dialled, such as the address of a relay, must stay. */
    const updated = ({ detail }: CustomEvent<{ readonly peer: Peer }>): void => {
      const atMs = gone.get(detail.peer.id.toString()) ?? Number.NEGATIVE_INFINITY
      if (performance.now() - atMs <= afterwardsMs) void forget(detail.peer.id)
    }

    return {
      get forgotten() {
        return forgotten
      },
      start() {
        events.addEventListener('peer:disconnect', disconnected)
        events.addEventListener('peer:update', updated)
      },
      stop() {
        events.removeEventListener('peer:disconnect', disconnected)
        events.removeEventListener('peer:update', updated)
      }
    }
  }
