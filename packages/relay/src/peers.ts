import type { Connection, IdentifyResult, PeerId } from '@libp2p/interface'
import { hopProtocol } from './codec.js'
import { isDialledDirectly } from './direct.js'
import type { RelayComponents } from './host.js'

/** Peers that serve as relays and that we are connected to. */
export interface RelayPeers {
  /** Told of each one that is or becomes connected, and of each that is not any more, until the signal aborts. */
  watch(came: (connection: Connection) => void, went: (peer: string) => void, signal: AbortSignal): Promise<void>
}

/** More than anybody needs to choose from; strangers can connect in any number. */
const mostPeers = 32

export function createRelayPeers({ connectionManager, peerStore, events }: RelayComponents): RelayPeers {
  const connectionTo = (peer: PeerId): Connection | undefined =>
    connectionManager.getConnections(peer).find(isDialledDirectly)

  return {
    async watch(came, went, signal) {
      const known = new Set<string>()
      const consider = (peer: PeerId, protocols: readonly string[]): void => {
        const connection = connectionTo(peer)
        if (signal.aborted || connection === undefined || !protocols.includes(hopProtocol)) return
        if (known.has(peer.toString()) || known.size >= mostPeers) return
        known.add(peer.toString())
        came(connection)
      }
      const forget = (peer: PeerId): void => {
        if (connectionTo(peer) === undefined && known.delete(peer.toString())) went(peer.toString())
      }
      const identified = ({ detail }: CustomEvent<IdentifyResult>): void => consider(detail.peerId, detail.protocols)
      const closed = ({ detail }: CustomEvent<Connection>): void => forget(detail.remotePeer)
      events.addEventListener('peer:identify', identified)
      events.addEventListener('connection:close', closed)
      signal.addEventListener(
        'abort',
        () => {
          events.removeEventListener('peer:identify', identified)
          events.removeEventListener('connection:close', closed)
        },
        { once: true }
      )
      for (const { remotePeer } of connectionManager.getConnections()) {
        const peer = await peerStore.get(remotePeer).catch(() => undefined)
        if (peer !== undefined) consider(remotePeer, peer.protocols)
      }
    }
  }
}
