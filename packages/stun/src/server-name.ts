import { familyOf } from '@postern/interface'

/** RFC 8489 §18.6 (UDP and TCP). */
export const defaultPort = 3478

/** A server as its user named it. */
export interface ServerName {
  /** An IP address, or a name for the DNS. */
  readonly host: string
  readonly port: number
}

/**
 * Reads `stun.example.org`, `stun.example.org:3478`, `[2001:db8::1]:3478`, and each of them after `stun:` (RFC 7064).
 * There is no TLS here, so `stuns:` is none. Throws a TypeError that quotes the text.
 */
export function parseServer(text: string): ServerName {
  const bare = text.replace(/^stun:/i, '')
  if (familyOf(bare) === 6) return { host: bare, port: defaultPort }
  const match = /^(?:\[([^\]]+)\]|([^:/?#@\s[\]]+))(?::(\d{1,5}))?$/.exec(bare)
  const [, bracketed, plain, digits] = match ?? []
  const host = bracketed ?? plain
  const port = digits === undefined ? defaultPort : Number(digits)
  if (host === undefined || port < 1 || port > 65_535 || !isHost(host, bracketed !== undefined))
    throw new TypeError(`"${text}" is no STUN server: give it as stun.example.org, <ip>:<port> or stun:<host>:<port>`)
  return { host, port }
}

/** RFC 1123 §2.1 for names. One that ends like an IPv4 address is none, or a mistyped address would be looked up. */
function isHost(host: string, isBracketed: boolean): boolean {
  if (isBracketed) return familyOf(host) === 6
  if (familyOf(host) === 4) return true
  return host.length <= 253 && /^(?:[a-z0-9_](?:[\w-]{0,61}\w)?\.)*[a-z_](?:[\w-]{0,61}\w)?\.?$/i.test(host)
}
