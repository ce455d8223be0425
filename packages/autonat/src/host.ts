import type { Libp2pEvents, PeerId, PeerStore, TypedEventTarget } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import type { Host, ServerHost } from '@postern/interface'

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
  /** Lends what arrives at a listener of the program that does not speak libp2p, if that listener is to be verified, and
   * not the node's. No nonce can arrive there: the proof is a fresh connection from the IP address of the witness, as in
   * AutoNAT v1. The witness begins a libp2p handshake, so the listener receives some bytes.
   * @default the listeners of the node are verified */
  readonly arrivals?: ServerHost['arrivals']
}
