import type { ComponentLogger, Metrics } from '@libp2p/interface'
import type { AddressManager } from '@libp2p/interface-internal'
import type { AutonatComponents } from '@postern/autonat'
import type { HolePunchComponents, HolePunchHost } from '@postern/hole-punch'
import type { RelayComponents, RelayHost } from '@postern/relay'
import type { Datastore } from 'interface-datastore'

/** The parts of a libp2p node that `natTraversal()` and its strategies use. */
export interface Libp2pComponents extends AutonatComponents, HolePunchComponents, RelayComponents {
  /** The address manager. */
  readonly addressManager: AddressManager
  /** The logger of the node. */
  readonly logger: ComponentLogger
  /** The datastore of the node. */
  readonly datastore: Datastore
  /** The metrics of the node, if it has any. */
  readonly metrics?: Metrics
}

/** The host that {@link natTraversal} passes to its strategies. A strategy that needs it is a `Strategy<Libp2pHost>`;
 * `expose()` of `@postern/node` does not accept it. */
export interface Libp2pHost extends HolePunchHost, RelayHost {
  /** The components of the node. */
  readonly components: Libp2pComponents
}
