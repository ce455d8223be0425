import type { Connection, PeerId, Stream, Transport } from '@libp2p/interface'
import type { RelayComponents } from './host.js'

/** The book that circuitRelayTransport() has of its reservations. */
export interface ReservationBook extends EventTarget {
  hasReservation(relay: PeerId): boolean
  /** Forgets all of them. There is no way to forget one. */
  cancelReservations(): void
}

/** What circuitRelayTransport() keeps the connection to a relay with. */
export const keepAliveTag = 'keep-alive-circuit-relay'

/** Throws a TypeError where `circuitRelayTransport()` is missing: without it no connection is accepted from a relay. */
export function circuitTransportOf({ transportManager }: RelayComponents): CircuitTransport {
  const transport = transportManager.getTransports().find(isCircuitTransport)
  if (transport === undefined) {
    throw new TypeError('relay() needs circuitRelayTransport() of @libp2p/circuit-relay-v2 among the transports')
  }
  return transport
}

/** What `circuitRelayTransport()` has that is not in its interface. */
export interface CircuitTransport extends Transport {
  readonly reservationStore: ReservationBook
  /** Handles STOP. Registered when the transport starts. */
  onStop(stream: Stream, connection: Connection): Promise<void>
}

export const isCircuitTransport = (transport: Transport): transport is CircuitTransport =>
  transport[Symbol.toStringTag] === '@libp2p/circuit-relay-v2-transport' &&
  'onStop' in transport &&
  typeof transport.onStop === 'function' &&
  'reservationStore' in transport &&
  transport.reservationStore instanceof EventTarget &&
  'hasReservation' in transport.reservationStore &&
  'cancelReservations' in transport.reservationStore
