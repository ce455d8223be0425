import { errorText, type NatError, natError } from '@postern/interface'

/** Returns a failure of a connection to the server as a {@link NatError}. */
export function connectError(cause: Error, place: string): NatError {
  const code = 'code' in cause ? cause.code : undefined
  if (code === 'ECONNREFUSED') return natError('REFUSED', `no bore server listens at ${place}`, { cause })
  if (code === 'ETIMEDOUT') return silent(place)
  return natError('UNREACHABLE', `${place} cannot be reached: ${errorText(cause)}`, { cause })
}

/** The server does not answer. */
export const silent = (place: string): NatError => natError('NO_REPLY', `no bore server answers at ${place}`)

/** The server requires a secret that this host does not have. */
export const needsSecret = (place: string): NatError =>
  natError(
    'NOT_AUTHORIZED',
    `the bore server ${place} requires a secret: set the environment variable BORE_SECRET, or the option secret`
  )

/** The server has closed the connection without asking for the secret. It waits 3 s for the first message. */
export const wantsNoSecret = (place: string): NatError =>
  natError(
    'NOT_AUTHORIZED',
    `the bore server ${place} does not ask for a secret, so it has none: unset BORE_SECRET, or leave the option secret out`
  )

/** The server has closed the connection before it lent a port. */
export const hungUp = (place: string, cause?: Error): NatError =>
  natError('UNREACHABLE', `the bore server ${place} closed the connection before it lent a port`, { cause })

/** Returns an `Error` of the server as a {@link NatError}. The texts are those of bore's src/server.rs and src/auth.rs. */
export function refusal(text: string, place: string, port: number): NatError {
  if (text === 'port already in use')
    return natError(
      'CONFLICT',
      `port ${port} of the bore server ${place} is in use: by another program, or by an earlier connection of this host. The server notices that a host has another address, or is gone, after up to 15 minutes. Wait, choose another external port (externalPort, --external-port), or set allowOtherPort`
    )
  if (text === 'client port number not in allowed range' || text === 'permission denied')
    return natError(
      'UNSUPPORTED',
      `the bore server ${place} does not lend port ${port} (${text}): choose another external port (externalPort, --external-port)`
    )
  if (text === 'failed to find an available port')
    return natError('OUT_OF_RESOURCES', `the bore server ${place} has no free port`)
  if (text.startsWith('server requires secret')) return needsSecret(place)
  if (text === 'invalid secret')
    return natError(
      'NOT_AUTHORIZED',
      `the bore server ${place} has another secret: correct BORE_SECRET, or the option secret`
    )
  return natError('GATEWAY_FAULT', `the bore server ${place} failed: ${text}`)
}
