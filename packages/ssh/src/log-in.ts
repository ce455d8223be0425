import type { Socket } from 'node:net'
import { type CallOptions, canonicalAddress, errorText, type Host, natError, within } from '@postern/interface'
import type { AnyAuthMethod, Client } from 'ssh2'
import { createLogins, type Remembered } from './auth.js'
import { connectAny } from './connect.js'
import { hungUp, isPassing, loginError, placeOf } from './errors.js'
import { createHostKeyCheck, type FirstUse } from './host-key.js'
import { loadSsh2, type Ssh2 } from './load-ssh2.js'
import type { Settings } from './options.js'
import { createSession, type Session } from './session.js'

/** What one strategy remembers of its logins. */
export interface Memory extends Remembered, FirstUse {}

/** How long connecting and logging in may take, in milliseconds. */
const loginMs = 25_000
/** The same if a person may have to type the password. */
const typingMs = 120_000

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
        // The keep-alive request is one of OpenSSH; other servers answer that they do not know it.
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
