import type { Libp2pEvents, PeerId, PeerStore, TypedEventTarget } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { Host } from '@postern/interface'

/** The parts of a libp2p node that `autonat()` uses. */
export interface AutonatComponents {
  readonly peerId: PeerId
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly registrar: Registrar
  readonly connectionManager: ConnectionManager
  readonly peerStore: PeerStore
}

/** A host that runs inside a libp2p node. `@postern/libp2p` creates one. */
export interface AutonatHost extends Host {
  readonly components: AutonatComponents
}
