import type { PeerId, Transport } from '@libp2p/interface'
import type { RelayComponents } from './host.js'

/** The book that circuitRelayTransport() has of its reservations. */
export interface ReservationBook extends EventTarget {
  hasReservation(relay: PeerId): boolean
  /** Forgets all of them. There is no way to forget one. */
  cancelReservations(): void
}

/** What circuitRelayTransport() keeps the connection to a relay with. */
export const keepAliveTag = 'keep-alive-circuit-relay'

/** Throws a TypeError where `circuitRelayTransport()` is missing: without it nobody accepts what a relay hands on. */
export function bookOf({ transportManager }: RelayComponents): ReservationBook {
  const transport = transportManager.getTransports().find(isCircuitTransport)
  if (transport === undefined) {
    throw new TypeError('relay() needs circuitRelayTransport() of @libp2p/circuit-relay-v2 among the transports')
  }
  return transport.reservationStore
}

interface CircuitTransport extends Transport {
  readonly reservationStore: ReservationBook
}

const isCircuitTransport = (transport: Transport): transport is CircuitTransport =>
  transport[Symbol.toStringTag] === '@libp2p/circuit-relay-v2-transport' &&
  'reservationStore' in transport &&
  transport.reservationStore instanceof EventTarget &&
  'hasReservation' in transport.reservationStore &&
  'cancelReservations' in transport.reservationStore
