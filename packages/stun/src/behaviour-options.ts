import type { Clock, SharedUdpSocket } from '@postern/interface'
import type { OpenUdp } from '@postern/net'
import type { StunAddress } from './address-codec.js'

/** The options of {@link discoverBehaviour}. */
export interface BehaviourOptions {
  /** The clock for the waits. */
  readonly clock: Clock
  /** The socket to test. To test the filtering, it must not have sent anything to the server's other address for some
   * minutes. */
  readonly tap: SharedUdpSocket
  /** The server, which needs two addresses for all tests but the address itself. */
  readonly server: StunAddress
  /** How often each request is sent (Rc of RFC 8489 §6.2.1).
   * @default 7 */
  readonly requests?: number
  /** Whether to test which datagrams the NAT lets in. Takes 3 s if it filters.
   * @default true */
  readonly filtering?: boolean
  /** Whether to test if the NAT returns datagrams that this host sends to its own external address. Needs a second
   * socket.
   * @default true */
  readonly hairpin?: boolean
  /** Opens that second socket.
   * @default a real socket */
  readonly openUdp?: OpenUdp
}
