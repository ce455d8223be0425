import { AsyncLocalStorage } from 'node:async_hooks'
import type { CircuitRelayService } from '@libp2p/circuit-relay-v2'
import type { AbortOptions, Connection, Stream } from '@libp2p/interface'
import { joinStreams } from './join-streams.js'

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
  /** A stream to the far end is open: STOP is about to be asked over it. */
  stopping(ask: Ask, far: Stream, connection: Connection): void
  /** The stream of the request becomes one end of a relayed connection, and that of STOP the other. */
  carries(ask: Ask, near: Stream, far: Stream): void
  /** Bytes have passed through the relayed connection. */
  moved(ask: Ask): void
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
 * It joins the two streams of a circuit in a way that keeps every relayed byte in memory until the circuit ends: its `pipe()`
 * names the first stream twice, and what the second mention buffers is never read. {@link joinStreams} carries the bytes
 * instead, and the server is given stand-ins, which carry none and pass on its `abort()`.
 *
 * A stream to a far end that refuses, says nothing or breaks the protocol it closes, which ends one direction only, and one that
 * the near end does not wait for any more it forgets. Both are reset here.
 *
 * There is no option for any of it. These are methods that are not in its interface; the version is pinned, and a test
 * compares what a peer reads. Throws where they are not there.
 */
export function onTheWire(server: CircuitRelayService, watch: HopWatch): void {
  if (!hasInternals(server)) throw new Error('this version of @libp2p/circuit-relay-v2 is not known here')
  const handleHopProtocol = server.handleHopProtocol.bind(server)
  const stopHop = server.stopHop.bind(server)
  /** The far end of the circuit that is being made, from `stopHop` to `unwrap`. */
  const making = new AsyncLocalStorage<Making>()

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
    const unwrap = (): Stream | StandIn => {
      const near = stream.unwrap()
      if (near instanceof StandIn) return near
      const circuit = making.getStore()
      if (circuit?.end === undefined) return near
      const { far, standIn: farStandIn, maxBytes } = circuit.end
      circuit.end = undefined
      watch.carries(ask, near, far)
      const nearStandIn = new StandIn(near)
      const ended = (): void => {
        nearStandIn.end()
        farStandIn.end()
      }
      joinStreams(near, far, { maxBytes, moved: () => watch.moved(ask), ended })
      return nearStandIn
    }
    const wrapped = { ...hop, stream: { ...stream, pb, unwrap } }
    const circuit: Making = { ask, end: undefined }
    return making
      .run(circuit, () => handleHopProtocol(wrapped, options))
      .finally(() => {
        circuit.end?.far.abort(new Error('the near end of the circuit has gone'))
        watch.over(ask)
      })
  }
  server.stopHop = async (stop, options) => {
    const circuit = making.getStore()
    if (circuit === undefined) throw new Error('STOP is asked for no request')
    let opened: Stream | undefined
    const connection = telling(stop.connection, (stream) => {
      opened = stream
      watch.stopping(circuit.ask, stream, stop.connection)
    })
    const far = await stopHop({ connection, request: inSeconds(stop.request) }, options).catch((error: unknown) => {
      opened?.abort(new Error('STOP has failed', { cause: error }))
      throw error
    })
    if (far === undefined) opened?.abort(new Error('the far end does not take the circuit'))
    if (far === undefined || far instanceof StandIn) return far
    const standIn = new StandIn(far)
    const data = stop.request.limit?.data
    circuit.end = { far, standIn, maxBytes: data === undefined ? undefined : Number(data) }
    return standIn
  }
}

/** The connection, which tells of each stream that is opened over it. */
const telling = (connection: Connection, opened: (stream: Stream) => void): Connection => {
  const newStream: Connection['newStream'] = async (...call) => {
    const stream = await connection.newStream(...call)
    opened(stream)
    return stream
  }
  return new Proxy(connection, {
    get(target, key) {
      if (key === 'newStream') return newStream
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

/** The circuit that is made for a request. */
interface Making {
  readonly ask: Ask
  /** Once the far end has taken it, and until the two are joined. */
  end: FarEnd | undefined
}

interface FarEnd {
  readonly far: Stream
  readonly standIn: StandIn
  readonly maxBytes: number | undefined
}

/** What the server pipes in the place of a stream: no message comes out of it, and it ends when the circuit has. */
class StandIn extends EventTarget {
  readonly #stream: Stream
  writeStatus: 'writable' | 'closed' = 'writable'

  constructor(stream: Stream) {
    super()
    this.#stream = stream
  }
  send(): boolean {
    return true
  }
  async close(): Promise<void> {
    this.writeStatus = 'closed'
  }
  /** The server aborts a circuit whose time is over, or when it stops. */
  abort(error: Error): void {
    this.#stream.abort(error)
  }
  end(): void {
    this.dispatchEvent(new Event('close'))
  }
}

interface Limited {
  readonly limit?: { readonly duration?: number; readonly data?: bigint }
}

interface HopMessage extends Limited {
  readonly status?: string
}

interface HopStream {
  pb(codec: unknown): { write(message: HopMessage, call?: AbortOptions): Promise<void> }
  unwrap(): Stream | StandIn
}

interface Hop {
  readonly connection: Connection
  readonly request: { readonly type?: string }
  readonly stream: HopStream
}

interface Internals {
  handleHopProtocol(hop: Hop, options: AbortOptions): Promise<void>
  stopHop(
    stop: { readonly connection: Connection; readonly request: Limited },
    options: AbortOptions
  ): Promise<Stream | StandIn | undefined>
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
