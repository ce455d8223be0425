import type { Socket } from 'node:net'
import { abortReason, type CallOptions, type Clock, isNatError, natError, within } from '@postern/interface'
import { decodeServerMessage, encodeAnswer, encodeHello, type ServerMessage, takeFrame } from './codec.js'
import { dial, placeOf, type ServerAddress } from './dial.js'
import { hungUp, needsSecret, refusal, silent, wantsNoSecret } from './errors.js'

/** A connection over which the server lends a port. The port is lent as long as it is open. */
export interface Control {
  readonly server: ServerAddress
  /** The port of the server that is lent. */
  readonly port: number
  /** Aborts with a NatError when the server ends the connection, violates the protocol or falls silent. */
  readonly ended: AbortSignal
  /** Gives the port back. `ended` does not abort. Idempotent. */
  close(): void
}

/** What a control connection is opened for. */
export interface Wanted {
  readonly server: ServerAddress
  readonly secret: string | undefined
  /** The port to ask for; 0 leaves the choice to the server. */
  readonly port: number
  /** Called with the id of each client that waits at the server. */
  readonly waits: (id: string) => void
}

/** How long the server may take to answer, in milliseconds. It closes a connection after 3 s if the client is silent. */
const answerMs = 5000
/** A server without a secret waits 3 s for the first message, and then ends the connection. */
const patienceMs = 2500
/** The server sends a heartbeat every 0.5 s: src/server.rs of bore. */
const silenceMs = 3000
/** How long heartbeats that arrived while this process was busy may take to be read, in milliseconds. */
const unreadMs = 100

const closed = abortReason('the port was given back')

/**
 * Asks the server for a port. Rejects with the signal's reason, or with `NO_REPLY`, `REFUSED`, `UNREACHABLE`,
 * `MALFORMED_REPLY`, `REPLY_TOO_LARGE`, `NOT_AUTHORIZED`, `CONFLICT`, `UNSUPPORTED`, `OUT_OF_RESOURCES`,
 * `GRANT_INVALID` or `GATEWAY_FAULT`.
 */
export async function openControl(wanted: Wanted, clock: Clock, call: CallOptions): Promise<Control> {
  const place = placeOf(wanted.server)
  const socket = await dial(wanted.server, clock, call)
  const talk = createTalk(socket, wanted, clock)
  try {
    const port = await within(
      clock,
      answerMs,
      call,
      () => silent(place),
      () => talk.granted
    )
    return { server: wanted.server, port, ended: talk.ended, close: talk.close }
  } catch (error) {
    talk.close()
    throw error
  }
}

interface Talk {
  readonly granted: Promise<number>
  readonly ended: AbortSignal
  close(): void
}

/** Speaks the protocol over an open connection. */
function createTalk(socket: Socket, { server, secret, port: wantedPort, waits }: Wanted, clock: Clock): Talk {
  const place = placeOf(server)
  const { promise: granted, resolve, reject } = Promise.withResolvers<number>()
  granted.catch(() => undefined)
  const ended = new AbortController()
  const over = new AbortController()
  let [isAnswered, isGranted] = [false, false]
  let unread: Buffer = Buffer.alloc(0)
  let heardMs = clock.monotonicMs()

  function close(): void {
    if (over.signal.aborted) return
    over.abort(closed)
    // RST ends the forward at the next heartbeat; after FIN alone the server would go on.
    socket.resetAndDestroy()
  }

  function fail(error: unknown): void {
    if (over.signal.aborted) return
    close()
    reject(error)
    if (isGranted) ended.abort(error)
  }

  function hear(bytes: Buffer): void {
    try {
      unread = Buffer.concat([unread, bytes])
      for (let taken = takeFrame(unread); taken !== undefined; taken = takeFrame(unread)) {
        if (over.signal.aborted) return
        unread = taken.rest
        take(decodeServerMessage(taken.frame))
        heardMs = clock.monotonicMs()
      }
    } catch (error) {
      if (!isNatError(error)) throw error
      fail(error)
    }
  }

  function take(message: ServerMessage): void {
    if (message.kind === 'error') return fail(refusal(message.text, place, wantedPort))
    if (message.kind === 'challenge') return answer(message.id)
    if (message.kind === 'hello') return grant(message.port)
    if (!isGranted) throw natError('MALFORMED_REPLY', `the bore server ${place} sends a ${message.kind} before a port`)
    if (message.kind === 'connection') waits(message.id)
  }

  function answer(challenge: string): void {
    if (secret === undefined) throw needsSecret(place)
    // A second answer would sign an id of the server's choice without need.
    if (isAnswered) throw natError('MALFORMED_REPLY', `the bore server ${place} challenges twice`)
    isAnswered = true
    socket.write(encodeAnswer(challenge, secret))
    socket.write(encodeHello(wantedPort))
  }

  function grant(port: number): void {
    if (isGranted || (secret !== undefined && !isAnswered))
      throw natError('MALFORMED_REPLY', `the bore server ${place} lends a port that was not asked for`)
    if (wantedPort !== 0 && port !== wantedPort)
      throw natError('GRANT_INVALID', `the bore server ${place} lends port ${port} instead of ${wantedPort}`)
    isGranted = true
    resolve(port)
    void watch()
  }

  /** Fails when the server has been silent for too long. */
  async function watch(): Promise<void> {
    try {
      while (!over.signal.aborted) {
        const leftMs = heardMs + silenceMs - clock.monotonicMs()
        await clock.sleep(leftMs > 0 ? leftMs : unreadMs, over)
        if (leftMs <= 0 && heardMs + silenceMs <= clock.monotonicMs() - unreadMs)
          fail(natError('NO_REPLY', `the bore server ${place} has been silent for ${silenceMs / 1000} s`))
      }
    } catch (error) {
      if (error !== closed) throw error
    }
  }

  /** The server has closed the connection, or it was cut. */
  function lost(cause?: Error): void {
    if (isGranted) return fail(natError('MAPPING_LOST', `the bore server ${place} ended the connection`, { cause }))
    // A server that is starting, or a proxy without one, ends the connection at once.
    const hasWaited = clock.monotonicMs() - heardMs >= patienceMs
    const isExpected = secret !== undefined && !isAnswered && cause === undefined && hasWaited
    fail(isExpected ? wantsNoSecret(place) : hungUp(place, cause))
  }

  socket.on('data', hear)
  socket.once('error', lost)
  socket.once('end', () => lost())
  socket.once('close', () => lost())
  if (secret === undefined) socket.write(encodeHello(wantedPort))
  return { granted, ended: ended.signal, close }
}
