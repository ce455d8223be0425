import type { Connection, PeerId, Stream, Transport } from '@libp2p/interface'
import type { RelayComponents } from '../host.js'

/** The reservation store of `circuitRelayTransport()`. */
export interface ReservationBook extends EventTarget {
  /** Returns whether the transport has a reservation at the relay. */
  hasReservation(relay: PeerId): boolean
  /** Returns what a relay has granted to the transport; undefined without a reservation there. */
  getReservation(relay: PeerId): GrantedReservation | undefined
  /** Forgets all reservations. The store cannot forget a single one. */
  cancelReservations(): void
}

/** The part of a grant that is used here. The transport does not keep the limits. */
export interface GrantedReservation {
  /** The end of the reservation, as Unix time in seconds. */
  readonly expire: bigint
}

/** The peers that the transport asks no more: a member that is not part of the public type. */
interface RelayFilter {
  has(peer: Uint8Array): boolean
  remove(peer: Uint8Array): boolean
}

/**
 * Makes the transport ask a relay again that it could not dial, or that did not serve HOP. Such a relay may have
 * restarted meanwhile, and the strategy decides when to ask it again.
 */
export function admitAgain(book: ReservationBook, relay: PeerId): void {
  const filter: unknown = Reflect.get(book, 'relayFilter')
  const { bytes } = relay.toMultihash()
  // To remove a peer that is not in the filter could remove another one.
  if (isRelayFilter(filter) && filter.has(bytes)) filter.remove(bytes)
}

const isRelayFilter = (value: unknown): value is RelayFilter =>
  typeof value === 'object' &&
  value !== null &&
  'has' in value &&
  typeof value.has === 'function' &&
  'remove' in value &&
  typeof value.remove === 'function'

/** The tag with which `circuitRelayTransport()` keeps the connection to a relay open. */
export const keepAliveTag = 'keep-alive-circuit-relay'

/** Returns the relay transport of a node. Throws a TypeError if `circuitRelayTransport()` is missing. */
export function circuitTransportOf({ transportManager }: RelayComponents): CircuitTransport {
  const transport = transportManager.getTransports().find(isCircuitTransport)
  if (transport === undefined) {
    throw new TypeError('relay() needs circuitRelayTransport() of @libp2p/circuit-relay-v2 among the transports')
  }
  return transport
}

/** The members of `circuitRelayTransport()` that are not part of its public type. */
export interface CircuitTransport extends Transport {
  readonly reservationStore: ReservationBook
  /** Handles STOP. The transport registers it at its start. */
  onStop(stream: Stream, connection: Connection): Promise<void>
}

/** Returns whether a transport was created by `circuitRelayTransport()`. */
export const isCircuitTransport = (transport: Transport): transport is CircuitTransport =>
  transport[Symbol.toStringTag] === '@libp2p/circuit-relay-v2-transport' &&
  'onStop' in transport &&
  typeof transport.onStop === 'function' &&
  'reservationStore' in transport &&
  transport.reservationStore instanceof EventTarget &&
  'hasReservation' in transport.reservationStore &&
  'getReservation' in transport.reservationStore &&
  'cancelReservations' in transport.reservationStore
