import type { ComponentLogger, Libp2pEvents, PeerId, PeerStore, TypedEventTarget, Upgrader } from '@libp2p/interface'
import type { AddressManager, ConnectionManager, Registrar, TransportManager } from '@libp2p/interface-internal'
import type { Behaviour, Host } from '@postern/interface'

/** The parts of a libp2p node that `holePunch()` uses. */
export interface HolePunchComponents {
  /** The peer id of the node. */
  readonly peerId: PeerId
  /** The events of the node. */
  readonly events: TypedEventTarget<Libp2pEvents>
  /** The registrar of protocols. */
  readonly registrar: Registrar
  /** The upgrader of raw connections. */
  readonly upgrader: Upgrader
  /** The connection manager. */
  readonly connectionManager: ConnectionManager
  /** The transport manager. */
  readonly transportManager: TransportManager
  /** The address manager. */
  readonly addressManager: AddressManager
  /** The peer store. */
  readonly peerStore: PeerStore
  /** The logger of the node. */
  readonly logger: ComponentLogger
}

/** A host that runs inside a libp2p node. `@postern/libp2p` creates one. */
export interface HolePunchHost extends Host {
  /** The components of the node. */
  readonly components: HolePunchComponents
  /**
   * Returns the mapping behaviour that STUN servers observe over UDP; null while it is unknown. What peers observe over
   * TCP takes precedence.
   */
  readonly nat?: () => { readonly mapping: Behaviour | null } | null
}
