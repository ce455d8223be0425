import type { Libp2pEvents, PeerId, PeerStore, TypedEventTarget } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { Host } from '@postern/interface'

/** The parts of a libp2p node that `autonat()` uses. */
export interface AutonatComponents {
  /** The peer id of the node. */
  readonly peerId: PeerId
  /** The events of the node. */
  readonly events: TypedEventTarget<Libp2pEvents>
  /** The registrar of protocols. */
  readonly registrar: Registrar
  /** The connection manager. */
  readonly connectionManager: ConnectionManager
  /** The peer store. */
  readonly peerStore: PeerStore
}

/** A host that runs inside a libp2p node. `@postern/libp2p` creates one. */
export interface AutonatHost extends Host {
  /** The components of the node. */
  readonly components: AutonatComponents
}
