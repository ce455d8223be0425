import type { Libp2pEvents, PeerId, PeerStore, TypedEventTarget } from '@libp2p/interface'
import type { ConnectionManager, RandomWalk, Registrar, TransportManager } from '@libp2p/interface-internal'
import type { Host } from '@postern/interface'

/** The parts of a libp2p node that `relay()` uses. */
export interface RelayComponents {
  readonly peerId: PeerId
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly registrar: Registrar
  readonly connectionManager: ConnectionManager
  readonly transportManager: TransportManager
  readonly peerStore: PeerStore
  readonly randomWalk: RandomWalk
}

/** A host that runs inside a libp2p node. `@postern/libp2p` creates one. */
export interface RelayHost extends Host {
  readonly components: RelayComponents
}
