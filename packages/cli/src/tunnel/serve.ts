import { connect, type Socket } from 'node:net'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { anySignal, type CallOptions, type Clock, natError } from '@postern/interface'
import { untilWritable } from '@postern/messages'
import { createPlaces as createPlacesByPrefix, within } from '@postern/net'
import { ipOf } from '../ip-of.js'
import { type Answer, answers, decodeWish, firstByte, tunnelProtocol } from './protocol.js'
import { createPlaces } from './places.js'
import { splice } from './splice.js'

export interface ServeOptions {
  /** The only place that a tunnel leads to. */
  readonly target: { readonly host: string; readonly port: number }
  /** Ids of the peers that may come in. Empty: nobody. */
  readonly allow: ReadonlySet<string>
  /** TCP connections in all, and of one peer. */
  readonly most: number
  readonly mostPerPeer: number
  readonly told: (news: Served) => void
  readonly clock: Clock
  /** Resets every tunnel. */
  readonly signal: AbortSignal
}

export interface Served {
  readonly event: 'opened' | 'closed' | 'refused'
  readonly peer: string
  readonly direct: boolean
  readonly reason?: Exclude<Answer, 'accepted'>
  readonly bytesIn?: number
  readonly bytesOut?: number
}

/** However long a peer takes to say what it wants, the target to take a connection, and a refused peer to go, in ms. */
const patienceMs = 10_000
/** Streams of one connection that are open at a time. Those beyond are reset by libp2p before anything is read. */
const streamsPerConnection = 256

/** Streams of peers that are not let in, which are told so at a time. Those beyond are reset. */
const maxRefusing = { total: 64, network: 48, subnet: 32, ip: 16, peer: 4 }

/** Answers tunnels of allowed peers, until the node stops. Nobody else has anything connected, or learns the target. */
export async function serveTunnels(node: Libp2p, options: ServeOptions): Promise<void> {
  const { target, allow, told, clock, signal } = options
  const places = createPlaces(options.most, options.mostPerPeer)
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
      // A peer that is not let in takes no more of this node than it needs to be told so.
      if (refusing.take(stream, { peer, address: ipOf(connection) }) !== undefined)
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

/** Ends a stream, and waits until the other side has. */
async function leave(stream: Stream, call: CallOptions): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  stream.addEventListener('close', () => resolve())
  // Read and thrown away: what is kept unread would hold up the end.
  stream.addEventListener('message', () => undefined)
  if (stream.readStatus === 'paused') stream.resume()
  await stream.close(call)
  if (stream.status === 'open') await promise
}

/** Aborts with the signal, and when the peer leaves the stream. */
function whileOpen(stream: Stream, signal: AbortSignal): CallOptions {
  const gone = new AbortController()
  const left = (): void => gone.abort(new Error('the peer has left'))
  if (stream.status === 'open') stream.addEventListener('close', left, { once: true })
  else left()
  return { signal: anySignal([signal, gone.signal]) }
}

/** Undefined: the target took no connection. Rejects with the signal's reason; then no socket is left. */
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
    // Also later: an error that has no listener would end the process.
    socket.on('error', failed)
    socket.once('timeout', failed)
    socket.once('connect', () => {
      signal.removeEventListener('abort', aborted)
      socket.off('timeout', failed)
      socket.setTimeout(0)
      // Nothing is lost before it is spliced.
      socket.pause()
      resolve(socket)
    })
  })
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
