import type { CircuitRelayServerComponents } from '@libp2p/circuit-relay-v2'
import type { Connection, Stream } from '@libp2p/interface'
import { createPlaces, type PlaceLimits } from '@postern/net'
import { ipOf } from './ip-of.js'
import { hasEnded, whenEnded } from './stream-end.js'
import { boundMessages, carriesBytes } from './stream-messages.js'

type Registrar = CircuitRelayServerComponents['registrar']

/** Bounds what peers send before their requests are answered. */
export interface RequestBounds {
  /** Requests that have a place. */
  readonly used: number
  /** Returns whether there is a place for the request of a stream, and bounds what the peer may send with it. */
  enter(stream: Stream, connection: Connection): boolean
  /** The stream has become an end of a relayed connection, which has limits of its own. */
  carries(stream: Stream): void
}

export function createRequestBounds(limits: PlaceLimits): RequestBounds {
  const requests = createPlaces<Stream>(limits)
  return {
    get used() {
      return requests.used
    },
    enter(stream, connection) {
      // The peer may have reset it since the protocol was agreed on.
      if (hasEnded(stream)) return false
      const party = { address: ipOf(connection), peer: connection.remotePeer.toString() }
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
 * Returns a registrar whose handlers are bounded. `circuitRelayServer()` and `circuitRelayTransport()` of
 * @libp2p/circuit-relay-v2 4.2 buffer 4 MB of each stream that a request is awaited on, and have no option for it: 300
 * streams were 1.4 GB.
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
  return new Proxy(registrar, {
    get(target, key) {
      if (key === 'handle') return handle
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}
