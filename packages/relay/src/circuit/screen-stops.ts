import type { Connection, Stream, Transport } from '@libp2p/interface'
import { type CircuitTransport, isCircuitTransport, type ReservationBook } from './reservation-store.js'

/** Returns whether this node has requested a reservation at the peer with this id. */
type IsChosen = (peer: string) => boolean

/** The predicate of the strategy for each reservation book. */
const choices = new WeakMap<ReservationBook, IsChosen>()
const screened = new WeakSet<CircuitTransport>()

/**
 * Returns a transport factory that wraps `circuitRelayTransport()`. The transport resets a connection request (STOP of
 * circuit relay v2) unless it comes from a relay at which the node has or is requesting a reservation. It is meant for
 * nodes without the strategy `relay()`, which protects the transport of its node in the same way.
 *
 * `circuitRelayTransport()` alone accepts such a request from every peer, buffers 4 MB of it, requests a reservation at
 * that peer, and announces the addresses that the peer reports. Any peer could thus make itself a relay of the node.
 *
 * @param make - `circuitRelayTransport()`. The function that it returns throws a TypeError for another transport.
 */
export const screenedCircuit =
  <Components>(make: (components: Components) => Transport) =>
  (components: Components): Transport => {
    const transport = make(components)
    if (!isCircuitTransport(transport)) throw new TypeError('screenedCircuit() needs circuitRelayTransport()')
    screenStops(transport)
    return transport
  }

/**
 * Makes a transport that is not started yet reset each STOP from a peer that is not a relay of this node. Idempotent.
 */
export function screenStops(transport: CircuitTransport, isChosen?: IsChosen): void {
  const { reservationStore: book } = transport
  if (isChosen !== undefined) choices.set(book, isChosen)
  if (screened.has(transport)) return
  screened.add(transport)
  const onStop = transport.onStop.bind(transport)
  transport.onStop = async (stream: Stream, connection: Connection) => {
    const { remotePeer } = connection
    if (book.hasReservation(remotePeer) || choices.get(book)?.(remotePeer.toString()) === true) {
      return onStop(stream, connection)
    }
    stream.abort(new Error('the peer is not a relay of this node'))
  }
}
