import type { Connection, PeerId, Stream, Transport } from '@libp2p/interface'
import type { RelayComponents } from '../host.js'

/** The reservation store of `circuitRelayTransport()`. */
export interface ReservationBook extends EventTarget {
  /** Returns whether the transport has a reservation at the relay. */
  hasReservation(relay: PeerId): boolean
  /** Forgets all reservations. The store cannot forget a single one. */
  cancelReservations(): void
}

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
  'cancelReservations' in transport.reservationStore
