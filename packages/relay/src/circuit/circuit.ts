import type { PeerId } from '@libp2p/interface'
import type { CallOptions, MultiaddrText } from '@postern/interface'
import type { Named } from '../client/named-relays.js'
import type { ReserveReply } from '../wire/hop.js'

/** Accepts connections through relays, by means of `circuitRelayTransport()`. */
export interface Circuit {
  /** Records the configured addresses of relays. Relayed addresses at these hosts may be announced. */
  name(relays: readonly Named[]): void
  /**
   * Makes the transport reserve at the relay, accept connections through it and announce the relayed addresses. Rejects
   * with the NatError of a refusal, with `NO_REPLY`, `GRANT_INVALID`, the signal's reason, or with the error of the
   * transport if the answer of the relay was not overheard; then no connections are accepted.
   */
  accept(relay: PeerId, call: CallOptions): Promise<Acceptance>
  /** Calls `lost` for each relay at which the transport has lost its reservation, until the signal aborts. */
  watch(lost: (relay: string) => void, signal: AbortSignal): void
}

/** Connections through one relay are accepted until `refuse`. A later `accept` for the same relay supersedes it. */
export interface Acceptance {
  /** The relayed addresses that are announced. */
  readonly addresses: readonly MultiaddrText[]
  /** The rest of the reservation's lifetime, in milliseconds. */
  readonly lifetimeMs: number
  /** What the relay has answered to the transport; undefined if that was not overheard. */
  readonly reply: ReserveReply | undefined
  /** Checks that connections are still accepted, and resolves with the current acceptance. Rejects with `NO_REPLY`,
   * `GRANT_INVALID` or the signal's reason. */
  again(call: CallOptions): Promise<Acceptance>
  /**
   * Immediately stops accepting connections through this relay. Resolves when the reservations at the other relays are
   * restored, or when the signal aborts.
   */
  refuse(call: CallOptions): Promise<void>
}
