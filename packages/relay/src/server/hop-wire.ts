import { AsyncLocalStorage } from 'node:async_hooks'
import type { CircuitRelayService } from '@libp2p/circuit-relay-v2'
import type { AbortOptions, Connection, Stream } from '@libp2p/interface'
import { withOverrides } from '@postern/libp2p-utils'
import { joinStreams } from './join-streams.js'

/** A request of a peer to the relay. */
export interface Ask {
  readonly connection: Connection
  /** RESERVE or CONNECT; undefined for an unknown request. */
  readonly type: string | undefined
}

/** The callbacks for requests to the relay. */
export interface HopWatch {
  /** Called before the server handles a request. It handles no other one until its next await. */
  asked(ask: Ask): void
  /** Called when the request is answered or given up. */
  over(ask: Ask): void
  /** Called when a stream to the far end is open, before STOP is sent over it. */
  stopping(ask: Ask, far: Stream, connection: Connection): void
  /** Called when the stream of the request and the stream of STOP become the ends of a relayed connection. */
  carries(ask: Ask, near: Stream, far: Stream): void
  /** Called when bytes have passed through the relayed connection. */
  moved(ask: Ask): void
  /** Called with the status that the server is about to send for RESERVE or CONNECT. Returns the status to send. */
  answering(ask: Ask, status: string): string
}

/**
 * Corrects what `circuitRelayServer()` of @libp2p/circuit-relay-v2 4.2 sends, and reports its requests and answers.
 *
 * - It uses and sends the maximum duration of a relayed connection in milliseconds. The spec has seconds there (circuit
 * relay
 *   v2, "Limit"), so other implementations read 33 hours instead of two minutes.
 * - It answers PERMISSION_DENIED if a connection gater refuses a peer. Other implementations answer that there is no
 * place.
 * - It joins the two streams of a circuit with a `pipe()` that names the first stream twice, and so keeps every relayed
 * byte in
 *   memory until the circuit ends. {@link joinStreams} carries the bytes instead; the server gets stand-ins, which carry no
 *   bytes and forward its `abort()`.
 * - It only closes one direction of a stream to a far end that refuses, is silent or violates the protocol, and forgets
 * one for
 *   which the near end no longer waits. Both are reset here.
 *
 * There are no options for this, so methods are replaced that are not in the public interface. The version is pinned,
 * and a test compares what a peer reads. Throws if the methods are missing.
 */
export function onTheWire(server: CircuitRelayService, watch: HopWatch): void {
  if (!hasInternals(server)) throw new Error('this version of @libp2p/circuit-relay-v2 is not known here')
  const handleHopProtocol = server.handleHopProtocol.bind(server)
  const stopHop = server.stopHop.bind(server)
  /** The far end of the circuit that is being created, from `stopHop` to `unwrap`. */
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

/** Returns the connection with a `newStream` that calls `opened` for each stream. */
const telling = (connection: Connection, opened: (stream: Stream) => void): Connection => {
  const newStream: Connection['newStream'] = async (...call) => {
    const stream = await connection.newStream(...call)
    opened(stream)
    return stream
  }
  return withOverrides(connection, { newStream })
}

/** The circuit that is being created for a request. */
interface Making {
  readonly ask: Ask
  /** The far end, after it has accepted and until the two are joined. */
  end: FarEnd | undefined
}

interface FarEnd {
  readonly far: Stream
  readonly standIn: StandIn
  readonly maxBytes: number | undefined
}

/** Stands in for a stream that the server pipes: it emits no messages, and ends with the circuit. */
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
  /** Called by the server when the time of the circuit is over, or when the server stops. */
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

/** Returns a copy of a message with the duration in seconds. The server continues to use its own number. */
function inSeconds<T extends Limited>(message: T): T {
  const { limit } = message
  if (limit?.duration === undefined) return message
  return { ...message, limit: { ...limit, duration: Math.ceil(limit.duration / 1000) } }
}
