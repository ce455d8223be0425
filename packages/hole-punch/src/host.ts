import type { ComponentLogger, Libp2pEvents, PeerId, PeerStore, TypedEventTarget, Upgrader } from '@libp2p/interface'
import type { AddressManager, ConnectionManager, Registrar, TransportManager } from '@libp2p/interface-internal'
import type { Behaviour, Host } from '@postern/interface'

/** The parts of a libp2p node that `holePunch()` uses. */
export interface HolePunchComponents {
  readonly peerId: PeerId
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly registrar: Registrar
  readonly upgrader: Upgrader
  readonly connectionManager: ConnectionManager
  readonly transportManager: TransportManager
  readonly addressManager: AddressManager
  readonly peerStore: PeerStore
  readonly logger: ComponentLogger
}

/** A host that runs inside a libp2p node. `@postern/libp2p` creates one. */
export interface HolePunchHost extends Host {
  readonly components: HolePunchComponents
  /**
   * Returns the mapping behaviour that STUN servers observe over UDP; null while it is unknown. What peers observe over
   * TCP takes precedence.
   */
  readonly nat?: () => { readonly mapping: Behaviour | null } | null
}
