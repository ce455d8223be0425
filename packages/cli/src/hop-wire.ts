import type { CircuitRelayService } from '@libp2p/circuit-relay-v2'
import type { AbortOptions, Connection, Stream } from '@libp2p/interface'

/** A request of a peer to the relay. */
export interface Ask {
  readonly connection: Connection
  /** RESERVE or CONNECT, if the peer asks for something that there is. */
  readonly type: string | undefined
}

/** What goes on between the relay and the peers that ask it. */
export interface HopWatch {
  /** The server reads the request next: until this function and the server's next await are over, no other is read. */
  asked(ask: Ask): void
  /** The request has been answered, or never will be. */
  over(ask: Ask): void
  /** The stream of the request becomes one end of a relayed connection. */
  carries(ask: Ask, stream: Stream): void
  /** What the server is about to answer to RESERVE or CONNECT. Returns what is to be answered. */
  answering(ask: Ask, status: string): string
}

/**
 * Puts right what `circuitRelayServer()` of @libp2p/circuit-relay-v2 4.2 tells others, and lets the answers be watched.
 *
 * It has one number for the longest duration of a relayed connection, in milliseconds, which it both acts upon and sends.
 * The spec has seconds there (circuit relay v2, "Limit"): others read 33 hours for its two minutes. And whom a connection
 * gater turns away it tells PERMISSION_DENIED, where others say that there is no place.
 *
 * There is no option for either. These are methods that are not in its interface; the version is pinned, and a test
 * compares what a peer reads. Throws where they are not there.
 */
export function onTheWire(server: CircuitRelayService, watch: HopWatch): void {
  if (!hasInternals(server)) throw new Error('this version of @libp2p/circuit-relay-v2 is not known here')
  const handleHopProtocol = server.handleHopProtocol.bind(server)
  const stopHop = server.stopHop.bind(server)

  server.handleHopProtocol = (hop, options) => {
    const { connection, request, stream } = hop
    const { type } = request
    const ask: Ask = { connection, type }
    watch.asked(ask)
    const put = (message: HopMessage): HopMessage => {
      const { status } = message
      const answer = status === undefined || type === undefined ? status : watch.answering(ask, status)
      return { ...inSeconds(message), ...(answer === undefined ? {} : { status: answer }) }
    }
    const pb: HopStream['pb'] = (codec) => {
      const messages = stream.pb(codec)
      return { ...messages, write: (message, call) => messages.write(put(message), call) }
    }
    const unwrap = (): Stream => {
      const carried = stream.unwrap()
      watch.carries(ask, carried)
      return carried
    }
    return handleHopProtocol({ ...hop, stream: { ...stream, pb, unwrap } }, options).finally(() => watch.over(ask))
  }
  server.stopHop = (stop, options) => stopHop({ ...stop, request: inSeconds(stop.request) }, options)
}

interface Limited {
  readonly limit?: { readonly duration?: number }
}

interface HopMessage extends Limited {
  readonly status?: string
}

interface HopStream {
  pb(codec: unknown): { write(message: HopMessage, call?: AbortOptions): Promise<void> }
  unwrap(): Stream
}

interface Hop {
  readonly connection: Connection
  readonly request: { readonly type?: string }
  readonly stream: HopStream
}

interface Internals {
  handleHopProtocol(hop: Hop, options: AbortOptions): Promise<void>
  stopHop(stop: { readonly connection: Connection; readonly request: Limited }, options: AbortOptions): Promise<unknown>
}

const hasInternals = (server: object): server is Internals =>
  'handleHopProtocol' in server &&
  typeof server.handleHopProtocol === 'function' &&
  'stopHop' in server &&
  typeof server.stopHop === 'function'

/** A copy: the server's own number stays what it acts upon. */
function inSeconds<T extends Limited>(message: T): T {
  const { limit } = message
  if (limit?.duration === undefined) return message
  return { ...message, limit: { ...limit, duration: Math.ceil(limit.duration / 1000) } }
}
