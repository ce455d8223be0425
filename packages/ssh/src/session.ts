import type { Socket } from 'node:net'
import { abortReason, type CallOptions, type Clock, type NatError, natError, within } from '@postern/interface'
import type { Arrived } from '@postern/net'
import type { Client } from 'ssh2'
import { createArrivals } from './arrivals.js'
import { placeOf } from './errors.js'
import type { Settings } from './options.js'
import { watchUnread } from './unread.js'

/** One SSH session with the other host. */
export interface Session {
  /** The IP address of the other host. */
  readonly serverAddress: string
  /** Aborts when the session has ended, with a {@link NatError} as the reason, before the streams of its channels end. */
  readonly ended: AbortSignal
  /** Asks the other host to listen on a port, 0 for any, and calls `arrive` with each connection to it. Resolves with the
   * port. Rejects with `CONFLICT` if the host refuses, which says no reason. */
  listen(port: number, arrive: (arrived: Arrived) => void, call: CallOptions): Promise<number>
  /** Asks the other host to listen there no longer. */
  unlisten(port: number, call: CallOptions): Promise<void>
  /** Whether this session listens on the port. */
  listensOn(port: number): boolean
  /** Resolves when the other host has answered. Rejects with `NO_REPLY`. */
  ping(call: CallOptions): Promise<void>
  /** Ends the session. Idempotent. */
  close(): void
  /**
   * Resets the connection of a session that was lost in silence. Call it when the way to the other host is open again.
   *
   * The other host has noticed nothing, and that session holds its ports. A connection that was closed in an outage does not
   * help: the kernel repeats its end at doubling intervals, half a minute apart after an outage of half a minute.
   */
  discard(): void
}

/** How long the other host may take to answer a request, in milliseconds. */
const answerMs = 8000
/** The session is lost after this number of intervals without a byte. */
const maxSilentIntervals = 4

const over = abortReason('the session is over')

/** Creates the session of a client that has logged in over a socket. */
export function createSession(
  client: Client,
  socket: Socket,
  serverAddress: string,
  settings: Settings,
  clock: Clock
): Session {
  const { bindAddress, keepAliveMs } = settings
  const place = placeOf(settings)
  const ended = new AbortController()
  const addStream = watchUnread(socket, () => lost(new Error('the other host ignores the window of a channel')))
  const arrivals = createArrivals(client, settings, addStream)
  let isSilent = false

  function end(reason: NatError): void {
    if (!ended.signal.aborted) ended.abort(reason)
    arrivals.clear()
  }
  function lost(cause?: unknown): void {
    end(natError('UNREACHABLE', `the SSH session with ${place} has ended`, cause === undefined ? {} : { cause }))
    socket.destroy()
  }
  client.on('error', lost).on('end', () => lost())
  // ssh2 ends the streams of channels after this event, as if their senders had ended them.
  client.on('close', () => lost())

  /** Makes a request of the session. Rejects with the signal's reason, when the session ends, or with `NO_REPLY`. What the
   * answer brings after that is given to `late`. */
  async function request<T>(
    send: (answered: (error: Error | undefined, value: T) => void) => void,
    call: CallOptions,
    late: (value: T) => void = () => undefined
  ): Promise<T> {
    const noReply = (): Error => natError('NO_REPLY', `${place} does not answer`)
    const run = ({ signal }: CallOptions): Promise<T> =>
      new Promise((resolve, reject) => {
        ended.signal.throwIfAborted()
        const stopped = (): void => reject(ended.signal.reason)
        ended.signal.addEventListener('abort', stopped, { once: true })
        try {
          send((error, value) => {
            ended.signal.removeEventListener('abort', stopped)
            if (error !== undefined) reject(error)
            else if (signal.aborted) late(value)
            else resolve(value)
          })
        } catch (error) {
          lost(error)
          stopped()
        }
      })
    call.signal.throwIfAborted()
    return within(clock, answerMs, call, noReply, run)
  }

  const ping: Session['ping'] = (call) =>
    request((answered) => client.openssh_noMoreSessions(() => answered(undefined, undefined)), call)

  async function watch(): Promise<void> {
    const call = { signal: ended.signal }
    let [silent, bytesRead, isAsking] = [0, socket.bytesRead, false]
    for (;;) {
      await clock.sleep(keepAliveMs, call)
      if (socket.bytesRead !== bytesRead) silent = 0
      else silent += 1
      bytesRead = socket.bytesRead
      if (silent >= maxSilentIntervals) {
        const waitedMs = silent * keepAliveMs
        isSilent = true
        // Its connection stays until it is discarded, and does not keep the process alive.
        socket.unref()
        end(natError('NO_REPLY', `the SSH session with ${place} is lost: nothing has arrived for ${waitedMs} ms`))
      } else if (silent > 0 && !isAsking) {
        isAsking = true
        const answered = (): void => {
          isAsking = false
        }
        ping(call).then(answered, answered)
      }
    }
  }
  // It ends only with the session.
  watch().catch(() => undefined)

  const unlisten: Session['unlisten'] = async (port, call) => {
    arrivals.remove(port)
    if (ended.signal.aborted) return
    // An error says that the port was not open.
    await request((answered) => client.unforwardIn(bindAddress, port, () => answered(undefined, undefined)), call)
  }

  return {
    serverAddress,
    ended: ended.signal,
    listensOn: (port) => arrivals.has(port),
    listen: (port, arrive, call) =>
      request<number>(
        (answered) =>
          client.forwardIn(bindAddress, port, (cause, granted) => {
            if (cause !== undefined) return answered(ended.signal.aborted ? undefined : refusal(port, place, cause), 0)
            answered(arrivals.add(granted, arrive), granted)
          }),
        call,
        (granted) => void unlisten(granted, { signal: ended.signal }).catch(() => undefined)
      ),
    unlisten,
    ping,
    close() {
      if (ended.signal.aborted) return
      client.end()
      ended.abort(over)
      arrivals.clear()
      socket.destroySoon()
    },
    discard() {
      if (isSilent) socket.resetAndDestroy()
    }
  }
}

const refusal = (port: number, place: string, cause: Error): NatError =>
  natError('CONFLICT', `${place} does not open port ${port}`, { cause })
