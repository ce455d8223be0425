import type { Connection, Stream } from '@libp2p/interface'
import type { Registrar } from '@libp2p/interface-internal'
import { createPlaces, type PlaceLimits } from '@postern/net'
import { ipOf } from './multiaddr.js'
import { hasEnded, whenEnded } from './stream-end.js'
import { boundMessages, carriesBytes } from './stream-messages.js'
import { withOverrides } from './with-overrides.js'

/** Limits the requests of peers until they are answered. */
export interface RequestBounds {
  /** The number of requests with a place. */
  readonly used: number
  /** Returns whether there is a place for the request of a stream. Takes it, and limits what the peer may send. */
  enter(stream: Stream, connection: Connection): boolean
  /** Lifts the limits of a stream that has become an end of a relayed connection, which has its own limits. */
  carries(stream: Stream): void
}

/**
 * Creates the limits for requests. Throws a TypeError for a limit that is not a positive integer.
 */
export function createRequestBounds(limits: PlaceLimits): RequestBounds {
  const requests = createPlaces<Stream>(limits)
  return {
    get used() {
      return requests.used
    },
    enter(stream, connection) {
      // The peer may have reset it since the protocol was negotiated.
      if (hasEnded(stream)) return false
      const party = { address: ipOf(connection.remoteAddr) ?? '', peer: connection.remotePeer.toString() }
      if (requests.take(stream, party) !== undefined) return false
      boundMessages(stream)
      whenEnded(stream, connection, () => requests.free(stream))
      return true
    },
    carries(stream) {
      requests.free(stream)
      carriesBytes(stream)
    }
  }
}

/**
 * Returns a registrar that limits the requests to its handlers. `circuitRelayServer()` and `circuitRelayTransport()` of
 * @libp2p/circuit-relay-v2 4.2 buffer up to 4 MB of each stream on which they await a request, without an option to
 * limit it; 300 streams used 1.4 GB.
 */
export const boundedRegistrar = (registrar: Registrar, bounds: RequestBounds): Registrar => {
  const handle: Registrar['handle'] = (protocol, handler, options) =>
    registrar.handle(
      protocol,
      (stream, connection) => {
        if (bounds.enter(stream, connection)) return handler(stream, connection)
        stream.abort(new Error('too many requests'))
        return undefined
      },
      options
    )
  return withOverrides(registrar, { handle })
}
