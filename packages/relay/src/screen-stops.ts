import type { Connection, Stream, Transport } from '@libp2p/interface'
import { type CircuitTransport, isCircuitTransport, type ReservationBook } from './reservation-book.js'

/** Whether a peer, by its id, is a relay that this node asked for a reservation. */
type IsChosen = (peer: string) => boolean

/** By the book of the transport, what its strategies have chosen. */
const choices = new WeakMap<ReservationBook, IsChosen>()
const screened = new WeakSet<CircuitTransport>()

/**
 * Returns a transport that resets a request for a connection (STOP of circuit relay v2) unless it comes from a relay at which
 * the node has a reservation, or is taking one. For nodes without the strategy `relay()`, which has its node's transport do the same.
 *
 * `circuitRelayTransport()` takes such a request from every peer, buffers 4 MB of it, asks that peer for a reservation, and
 * announces the addresses that the peer tells: a stranger would make itself a relay of the node.
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

/** Has a transport that is not started yet reset each STOP of a peer that is no relay of this node. Idempotent. */
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
    stream.abort(new Error('the peer is no relay of this node'))
  }
}
