import type { Socket } from 'node:net'
import {
  abortReason,
  type CallOptions,
  type Clock,
  canonicalAddress,
  errorText,
  type Host,
  type NatError,
  natError,
  within
} from '@postern/interface'
import type { Arrived } from '@postern/net'
import type { AnyAuthMethod, Client } from 'ssh2'
import { createArrivals } from './arrivals.js'
import { createLogins, type Remembered } from './auth.js'
import { connectAny } from './connect.js'
import { hungUp, isPassing, loginError, placeOf } from './errors.js'
import { createHostKeyCheck, type FirstUse } from './host-key.js'
import { loadSsh2, type Ssh2 } from './load-ssh2.js'
import type { Settings } from './options.js'

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
}

/** What one strategy remembers of its logins. */
export interface Memory extends Remembered, FirstUse {}

/** How long connecting and logging in may take, in milliseconds. */
const loginMs = 15_000
/** The same if a person may have to type the password. */
const typingMs = 120_000
/** How long the other host may take to answer a request, in milliseconds. */
const answerMs = 8000
/** The session is lost after this number of intervals without a byte. */
const maxSilentIntervals = 4

const over = abortReason('the session is over')

/** Connects to the other host, checks its key, and logs in. Rejects with the signal's reason or a {@link NatError}. */
export async function openSession(
  settings: Settings,
  addresses: readonly string[],
  memory: Memory,
  { clock, log }: Pick<Host, 'clock' | 'log'>,
  call: CallOptions
): Promise<Session> {
  const ssh2 = await loadSsh2()
  const place = placeOf(settings)
  const limitMs = settings.password === undefined || memory.password !== undefined ? loginMs : typingMs
  const late = (): Error => natError('NO_REPLY', `no login at ${place} within ${limitMs / 1000} s`)
  return within(clock, limitMs, call, late, async (limited) => {
    const socket = await connectAny(addresses, settings.port, place, clock, limited)
    try {
      const client = await logIn(ssh2, socket, settings, memory, limited)
      log.debug(`ssh: logged in at ${place}`)
      // A connection that has ended in the same moment has no address.
      const serverAddress = canonicalAddress(socket.remoteAddress ?? '')
      if (serverAddress === undefined) throw hungUp(place)
      return createSession(client, socket, serverAddress, settings, clock)
    } catch (error) {
      socket.destroy()
      throw error
    }
  })
}

async function logIn(
  ssh2: Ssh2,
  socket: Socket,
  settings: Settings,
  memory: Memory,
  { signal }: CallOptions
): Promise<Client> {
  const place = placeOf(settings)
  const check = await createHostKeyCheck(settings, memory)
  const logins = createLogins(settings, ssh2, memory)
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client()
    let accepted: Buffer | undefined
    const fail = (error: unknown): void => {
      signal.removeEventListener('abort', aborted)
      reject(error)
      socket.destroy()
    }
    const aborted = (): void => fail(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    // This listener stays for good: ssh2 may emit errors after the end.
    client.on('error', (error) => {
      if (!isPassing(error)) fail(loginError(error, place, accepted !== undefined))
    })
    client.on('close', () => fail(hungUp(place)))
    client.on('ready', () => {
      signal.removeEventListener('abort', aborted)
      logins.succeeded()
      if (accepted !== undefined) check.accept(accepted)
      resolve(client)
    })
    const proceed = async (left: readonly string[] | null, next: (method: AnyAuthMethod) => void): Promise<void> => {
      try {
        const method = await logins.next(left)
        if (method === undefined) fail(logins.failure())
        else if (!socket.destroyed) next(method)
      } catch (error) {
        fail(natError('NOT_AUTHORIZED', `there is no password for ${place}: ${errorText(error)}`, { cause: error }))
      }
    }
    try {
      client.connect({
        sock: socket,
        username: settings.username,
        readyTimeout: 0,
        keepaliveInterval: 0,
        // The request that serves as a sign of life is one of OpenSSH; other servers answer that they do not know it.
        strictVendor: false,
        algorithms: { serverHostKey: [...check.algorithms] },
        hostVerifier: (key: Buffer) => {
          const refusal = check.refusal(key)
          if (refusal === undefined) accepted = Buffer.from(key)
          else fail(refusal)
          return refusal === undefined
        },
        authHandler: (left, _partial, next) => void proceed(left, next)
      })
    } catch (error) {
      fail(natError('UNSUPPORTED', `ssh2 cannot connect to ${place}: ${errorText(error)}`, { cause: error }))
    }
  })
}

function createSession(
  client: Client,
  socket: Socket,
  serverAddress: string,
  settings: Settings,
  clock: Clock
): Session {
  const { bindAddress, keepAliveMs } = settings
  const place = placeOf(settings)
  const ended = new AbortController()
  const arrivals = createArrivals(client, settings)

  function end(reason: NatError): void {
    if (!ended.signal.aborted) ended.abort(reason)
    arrivals.clear()
    socket.destroy()
  }
  const lost = (cause?: unknown): void =>
    end(natError('UNREACHABLE', `the SSH session with ${place} has ended`, cause === undefined ? {} : { cause }))
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
    }
  }
}

const refusal = (port: number, place: string, cause: Error): NatError =>
  natError('CONFLICT', `${place} does not open port ${port}`, { cause })
