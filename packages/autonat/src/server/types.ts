import type { AddressManager, ConnectionManager, Registrar, TransportManager } from '@libp2p/interface-internal'

/** The parts of a libp2p node that the server uses. */
export interface AutonatServerComponents {
  /** The registrar of protocols. */
  readonly registrar: Registrar
  /** The connection manager. */
  readonly connectionManager: ConnectionManager
  /** The transport manager. */
  readonly transportManager: TransportManager
  /** The address manager. */
  readonly addressManager: AddressManager
}
