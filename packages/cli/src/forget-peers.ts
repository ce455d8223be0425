import type { Connection, Libp2pEvents, Peer, PeerId, PeerStore, Startable, TypedEventTarget } from '@libp2p/interface'

export interface ForgetPeersInit {
  /** Returns whether the node needs what it knows of a peer after the peer has gone.
   * @default no peer's */
  readonly isKept?: (peer: PeerId) => boolean
}

export interface ForgetPeersComponents {
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly peerStore: Pick<PeerStore, 'delete'>
  readonly connectionManager: { getConnections(peer: PeerId): Connection[] }
}

/** Identify, which tells of a peer, ends at most so long after the connection, in ms. */
const afterwardsMs = 10_000

/** A libp2p service that removes a peer from the peer store when its last connection is closed. */
export interface ForgetPeers extends Startable {
  /** Peers that were removed. */
  readonly forgotten: number
}

/**
 * Removes what a peer leaves behind. libp2p keeps each identified peer for six hours, 33 kB of it with the addresses,
 * the signed record and the protocols that the peer told, and peer ids cost nothing.
 */
export const forgetPeers =
  ({ isKept = () => false }: ForgetPeersInit = {}) =>
  ({ events, peerStore, connectionManager }: ForgetPeersComponents): ForgetPeers => {
    let forgotten = 0
    /** When peers have gone, those of the last seconds. */
    const gone = new Map<string, number>()

    async function forget(peer: PeerId): Promise<void> {
      if (isKept(peer) || connectionManager.getConnections(peer).length > 0) return
      try {
        await peerStore.delete(peer)
        forgotten++
      } catch (error) {
        // The node stops, and its store with it.
        if (!(error instanceof Error)) throw error
      }
    }
    const disconnected = ({ detail }: CustomEvent<PeerId>): void => {
      const nowMs = performance.now()
      for (const [id, atMs] of gone) if (nowMs - atMs > afterwardsMs) gone.delete(id)
      gone.set(detail.toString(), nowMs)
      void forget(detail)
    }
    /** What is told of a peer that has gone meanwhile: identify ends after the connection. What is learned of a peer before
     * it is dialled, the address of a relay for example, must stay. */
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
