import type { CircuitRelayServerComponents } from '@libp2p/circuit-relay-v2'
import type { Connection, Stream, StreamMessageEvent } from '@libp2p/interface'
import { createPlaces } from '@postern/net'
import { ipOf } from './ip-of.js'

/** Four times what a message of the protocol may have (maxMessageSize of go-libp2p). */
const maxBytes = 16_384
/** Requests that are not answered yet. Each may have {@link maxBytes} in memory. */
const maxRequests = { total: 1024, network: 512, subnet: 256, ip: 128, peer: 64 }

type Registrar = CircuitRelayServerComponents['registrar']

/** Bounds what peers send before the relay has answered them. */
export interface HopBounds {
  /** Returns whether there is a place for the request of a stream. */
  enter(stream: Stream, connection: Connection): boolean
  /** The server reads the stream from here on: ends it if the peer sends more than a request. */
  watch(stream: Stream): void
  /** The stream has become an end of a relayed connection, which has limits of its own. */
  carries(stream: Stream): void
}

export function createHopBounds(): HopBounds {
  const requests = createPlaces<Stream>(maxRequests)
  const listeners = new WeakMap<Stream, (event: StreamMessageEvent) => void>()

  function carries(stream: Stream): void {
    requests.free(stream)
    const listener = listeners.get(stream)
    if (listener !== undefined) stream.removeEventListener('message', listener)
  }

  return {
    enter(stream, connection) {
      const party = { address: ipOf(connection), peer: connection.remotePeer.toString() }
      if (requests.take(stream, party) !== undefined) return false
      stream.addEventListener('close', () => requests.free(stream), { once: true })
      return true
    },
    watch(stream) {
      let received = 0
      const listener = ({ data }: StreamMessageEvent): void => {
        received += data.byteLength
        if (received > maxBytes) stream.abort(new Error('more than a request'))
      }
      listeners.set(stream, listener)
      stream.addEventListener('message', listener)
    },
    carries
  }
}

/**
 * Returns a registrar whose handlers are bounded. `circuitRelayServer()` of @libp2p/circuit-relay-v2 4.2 buffers 4 MB of
 * each stream that a request is awaited on, and has no option for it: 300 streams were 1.4 GB.
 */
export const boundedRegistrar = (registrar: Registrar, bounds: HopBounds): Registrar => {
  const handle: Registrar['handle'] = (protocol, handler, options) =>
    registrar.handle(
      protocol,
      (stream, connection) => {
        if (!bounds.enter(stream, connection)) {
          stream.abort(new Error('too many requests'))
          return
        }
        // A stream with a listener does not keep what comes for the next one: the server's has to be there first.
        const handled = handler(stream, connection)
        bounds.watch(stream)
        return handled
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
