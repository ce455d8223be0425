import type { ComponentLogger, Libp2pEvents, PeerId, PeerStore, TypedEventTarget, Upgrader } from '@libp2p/interface'
import type { AddressManager, ConnectionManager, Registrar, TransportManager } from '@libp2p/interface-internal'
import type { Behaviour, Host } from '@postern/interface'

/** The parts of a libp2p node that punching works with. */
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

/** A host that is a libp2p node. `@postern/libp2p` makes one. */
export interface HolePunchHost extends Host {
  readonly components: HolePunchComponents
  /** How STUN servers see the NAT, over UDP; null as long as none has told. What peers see of TCP is believed before it. */
  readonly nat?: () => { readonly mapping: Behaviour | null } | null
}
