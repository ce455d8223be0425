import { errorText, isNatError, type NatError, natError } from '@postern/interface'
import type { Settings } from './options.js'

/** Returns the other host for messages: `vps.example.org:22`. */
export const placeOf = ({ host, port }: Pick<Settings, 'host' | 'port'>): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** Returns an error of a connection attempt as a {@link NatError}. */
export function connectError(cause: Error, place: string): NatError {
  const code = 'code' in cause ? cause.code : undefined
  if (code === 'ECONNREFUSED') return natError('REFUSED', `no SSH server listens at ${place}`, { cause })
  if (code === 'ETIMEDOUT') return natError('NO_REPLY', `${place} does not answer`, { cause })
  if (code === 'ECONNRESET' || code === 'EPIPE') return hungUp(place, cause)
  return natError('UNREACHABLE', `${place} cannot be reached: ${errorText(cause)}`, { cause })
}

/** The server has ended the connection before the login was complete. */
export const hungUp = (place: string, cause?: unknown): NatError =>
  natError('NO_REPLY', `${place} ended the connection before the login was complete: it may limit logins`, { cause })

/** An error that ssh2 emits during the login. `level` and `code` are its own. */
interface LoginError extends Error {
  readonly level?: string
  readonly code?: unknown
}

/** Whether ssh2 goes on after an error: the agent failed, or a key could not sign, and the next method is tried. */
export const isPassing = (error: LoginError): boolean =>
  error.level === 'agent' || /^Error (?:while )?signing /.test(error.message)

/** Returns an error that ssh2 emitted during the login as a {@link NatError}.
 *
 * @param isLoggingIn - whether the host key was accepted, so that only the login is left */
export function loginError(cause: LoginError, place: string, isLoggingIn: boolean): NatError {
  if (isNatError(cause)) return cause
  const { level, code, message } = cause
  if (level === 'client-socket') return connectError(cause, place)
  if (level === 'protocol' && message.startsWith('Connection lost')) return hungUp(place, cause)
  if (level === 'handshake' && /host key/i.test(message))
    return natError(
      'UNTRUSTED_REPLY',
      `the SSH server ${place} has no key of a type that is known for it here: ${message}`,
      { cause }
    )
  if (level === 'handshake')
    return natError('UNSUPPORTED', `the SSH server ${place} and ssh2 have no algorithm in common: ${message}`, {
      cause
    })
  // ssh2 gives the reason of a disconnection as a number, and no level to most violations of the protocol.
  if (typeof code !== 'number')
    return natError('MALFORMED_REPLY', `no SSH server answers at ${place}: ${message}`, { cause })
  // A server that has seen too many wrong keys ends the connection with a reason of its own (RFC 4253 §11.1).
  if (isLoggingIn) return natError('NOT_AUTHORIZED', `${place} refuses the login: ${message}`, { cause })
  return natError('GATEWAY_FAULT', `the SSH server ${place} failed: ${message}`, { cause })
}
