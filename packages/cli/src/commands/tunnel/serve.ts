import { connect, type Socket } from 'node:net'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, type Clock, natError, within } from '@postern/interface'
import { ipOf, untilWritable } from '@postern/libp2p-utils'
import { createPlaces as createPlacesByPrefix } from '@postern/net'
import { splice } from './copy-bytes.js'
import { createPlaces } from './places.js'
import { type Answer, answers, decodeWish, firstByte, tunnelProtocol } from './protocol.js'

/** The options of {@link serveTunnels}. */
export interface ServeOptions {
  /** The only target of tunnels. */
  readonly target: { readonly host: string; readonly port: number }
  /** The ids of the allowed peers. Empty: no peer is allowed. */
  readonly allow: ReadonlySet<string>
  /** The maximum number of TCP connections in total, and of one peer. */
  readonly maxTotal: number
  readonly maxPerPeer: number
  readonly told: (news: Served) => void
  readonly clock: Clock
  /** Resets every tunnel. */
  readonly signal: AbortSignal
}

/** The news about a tunnel. */
export interface Served {
  readonly event: 'opened' | 'closed' | 'refused'
  readonly peer: string
  readonly direct: boolean
  readonly reason?: Exclude<Answer, 'accepted'>
  readonly bytesIn?: number
  readonly bytesOut?: number
}

/** The time limit for a peer to send its request, for the target to accept a connection, and for a refused peer to
 * leave, in ms. */
const patienceMs = 10_000
/** How many streams of one connection are served: four times the default of `--most-per-peer`. libp2p resets further
 * ones before anything is read. */
const streamsPerConnection = 256

/** The limits for streams of refused peers that get an answer at the same time. Further ones are reset. */
const maxRefusing = { total: 64, network: 48, subnet: 32, ip: 16, peer: 4 }

/** Serves tunnels of allowed peers until the node stops. Other peers get no connection and do not learn the target. */
export async function serveTunnels(node: Libp2p, options: ServeOptions): Promise<void> {
  const { target, allow, told, clock, signal } = options
  const places = createPlaces(options.maxTotal, options.maxPerPeer)
  const refusing = createPlacesByPrefix<Stream>(maxRefusing)
  const inTime = <T>(run: (call: CallOptions) => Promise<T>): Promise<T> =>
    within(clock, patienceMs, { signal }, () => natError('NO_REPLY', 'the peer is too slow'), run)

  async function answer(stream: Stream, connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString()
    const about = { peer, direct: connection.limits === undefined && connection.direct }
    const refuse = async (reason: Exclude<Answer, 'accepted'>): Promise<void> => {
      told({ event: 'refused', ...about, reason })
      await inTime((call) => say(stream, reason, call))
      await inTime((call) => leave(stream, call))
    }
    if (!allow.has(peer)) {
      // A refused peer may use only the resources for its answer.
      if (refusing.take(stream, { peer, address: ipOf(connection.remoteAddr) ?? '' }) !== undefined)
        throw new Error('too many strangers')
      return refuse('not-allowed').finally(() => refusing.free(stream))
    }
    const wish = decodeWish(await inTime((call) => firstByte(stream, call)))
    if (wish === 'ask') {
      await inTime((call) => say(stream, 'accepted', call))
      return inTime((call) => leave(stream, call))
    }
    const release = places.take(peer)
    if (release === undefined) return refuse('too-many')
    try {
      const socket = await open(target, whileOpen(stream, signal))
      if (socket === undefined) return await refuse('target-unreachable')
      await carry(socket)
    } finally {
      release()
    }

    async function carry(socket: Socket): Promise<void> {
      let carried = { toSocket: 0, toStream: 0 }
      told({ event: 'opened', ...about })
      try {
        await inTime((call) => say(stream, 'accepted', call))
        carried = await splice(socket, stream, { signal })
      } finally {
        if (!socket.destroyed) socket.resetAndDestroy()
        told({ event: 'closed', ...about, bytesIn: carried.toSocket, bytesOut: carried.toStream })
      }
    }
  }

  await node.handle(
    tunnelProtocol,
    (stream, connection) => answer(stream, connection).catch((error: unknown) => stream.abort(asError(error))),
    { runOnLimitedConnection: true, maxInboundStreams: streamsPerConnection }
  )
}

async function say(stream: Stream, answer: Answer, call: CallOptions): Promise<void> {
  if (!stream.send(Uint8Array.of(answers[answer]))) await untilWritable(stream, call)
}

/** Ends a stream, and waits until the other side has ended it. */
async function leave(stream: Stream, call: CallOptions): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  stream.addEventListener('close', () => resolve())
  // Read and discard the data: unread data would delay the end.
  stream.addEventListener('message', () => undefined)
  if (stream.readStatus === 'paused') stream.resume()
  await stream.close(call)
  if (stream.status === 'open') await promise
}

/** Returns a signal that aborts with the given one, and when the stream closes. */
function whileOpen(stream: Stream, signal: AbortSignal): CallOptions {
  const gone = new AbortController()
  const left = (): void => gone.abort(new Error('the peer has left'))
  if (stream.status === 'open') stream.addEventListener('close', left, { once: true })
  else left()
  return { signal: anySignal([signal, gone.signal]) }
}

/** Connects to the target. Resolves to undefined if it does not accept. Rejects with the signal's reason, after closing
 * the socket. */
function open({ host, port }: ServeOptions['target'], { signal }: CallOptions): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true, timeout: patienceMs })
    const failed = (): void => {
      signal.removeEventListener('abort', aborted)
      socket.destroy()
      resolve(undefined)
    }
    const aborted = (): void => {
      socket.destroy()
      reject(signal.reason)
    }
    signal.addEventListener('abort', aborted, { once: true })
    // Keep this listener: an error event without a listener would end the process.
    socket.on('error', failed)
    socket.once('timeout', failed)
    socket.once('connect', () => {
      signal.removeEventListener('abort', aborted)
      socket.off('timeout', failed)
      socket.setTimeout(0)
      // Pause, so that no data is lost before it is spliced.
      socket.pause()
      resolve(socket)
    })
  })
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
