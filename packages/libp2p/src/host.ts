import type { AutonatComponents } from '@postern/autonat'
import type { HolePunchComponents, HolePunchHost } from '@postern/hole-punch'
import type { RelayComponents } from '@postern/relay'
import type { AddressManager } from '@libp2p/interface-internal'
import type { ComponentLogger, Metrics } from '@libp2p/interface'
import type { Datastore } from 'interface-datastore'

/** The parts of a libp2p node that this service and its strategies work with. */
export interface Libp2pComponents extends AutonatComponents, HolePunchComponents, RelayComponents {
  readonly addressManager: AddressManager
  readonly logger: ComponentLogger
  readonly datastore: Datastore
  readonly metrics?: Metrics
}

/** What a strategy gets from {@link natTraversal}. One that needs it is a `Strategy<Libp2pHost>`, and nothing that
 * `expose()` of `@postern/node` takes. */
export interface Libp2pHost extends HolePunchHost {
  readonly components: Libp2pComponents
}
