import type { Libp2pEvents, PeerId, PeerStore, TypedEventTarget } from '@libp2p/interface'
import type { ConnectionManager, RandomWalk, Registrar, TransportManager } from '@libp2p/interface-internal'
import type { CallOptions, Host } from '@postern/interface'

/** The parts of a libp2p node that `relay()` uses. */
export interface RelayComponents {
  /** The peer id of the node. */
  readonly peerId: PeerId
  /** The events of the node. */
  readonly events: TypedEventTarget<Libp2pEvents>
  /** The registrar of protocols. */
  readonly registrar: Registrar
  /** The connection manager. */
  readonly connectionManager: ConnectionManager
  /** The transport manager. */
  readonly transportManager: TransportManager
  /** The peer store. */
  readonly peerStore: PeerStore
  /** The random walk through peer routing. */
  readonly randomWalk: RandomWalk
}

/** A host that runs inside a libp2p node. `@postern/libp2p` creates one. */
export interface RelayHost extends Host {
  /** The components of the node. */
  readonly components: RelayComponents
  /**
   * Calls `started` each time the node has started and can dial, before the network is known. The signal aborts when
   * the node stops. The strategy then dials the configured relays, and resolves when one of them is connected or cannot
   * be reached.
   * @default none: they are dialled when `discover` is called
   */
  readonly onStart?: (started: (call: CallOptions) => Promise<void>) => void
}
