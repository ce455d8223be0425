import { familyOf } from '@postern/interface'
import { isHostName } from '@postern/net'

/** The port of STUN over UDP and TCP (RFC 8489 §18.6). */
export const defaultPort = 3478

/** A server, as the user named it. */
export interface ServerName {
  /** An IP address or a DNS name. */
  readonly host: string
  /** The port. */
  readonly port: number
}

/**
 * Parses `stun.example.org`, `stun.example.org:3478` or `[2001:db8::1]:3478`, each optionally after `stun:` (RFC 7064).
 * TLS is not supported, so `stuns:` is rejected. Throws a TypeError that quotes the text.
 */
export function parseServer(text: string): ServerName {
  const bare = text.replace(/^stun:/i, '')
  if (familyOf(bare) === 6) return { host: bare, port: defaultPort }
  const match = /^(?:\[([^\]]+)\]|([^:/?#@\s[\]]+))(?::(\d{1,5}))?$/.exec(bare)
  const [, bracketed, plain, digits] = match ?? []
  const host = bracketed ?? plain
  const port = digits === undefined ? defaultPort : Number(digits)
  const isHost = bracketed === undefined ? isHostName(host ?? '') : familyOf(bracketed) === 6
  if (host === undefined || port < 1 || port > 65_535 || !isHost)
    throw new TypeError(
      `"${text}" is not a STUN server: give it as stun.example.org, <ip>:<port> or stun:<host>:<port>`
    )
  return { host, port }
}
