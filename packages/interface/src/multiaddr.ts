import { familyOf } from './addresses.js'
import type { Family, MultiaddrText, Protocol } from './contract.js'

/** The IP address and the port at the start of a multiaddr. */
export interface TransportAddress {
  /** The family of the address. */
  readonly family: Family
  /** The IP address, as written in the multiaddr. */
  readonly address: string
  /** The transport protocol. */
  readonly protocol: Protocol
  /** The port, from 0 to 65535. */
  readonly port: number
  /** The text after the port, `/ws` or `/quic-v1` for example; empty if there is none. */
  readonly rest: string
}

/** Formats a multiaddr such as `/ip4/203.0.113.7/tcp/8080`. Omits an IPv6 zone, which has no meaning on another host.
 * Throws a TypeError if `address` is not an IP address. */
export function formatMultiaddr(address: string, protocol: Protocol, port: number): MultiaddrText {
  const family = familyOf(address)
  if (family === undefined) throw new TypeError(`not an IP address: ${address}`)
  return `/ip${family}/${address.replace(/%.*$/, '')}/${protocol}/${port}`
}

/** Parses a multiaddr that starts with an IP address and a port. Returns undefined for any other text. */
export function parseMultiaddr(text: string): TransportAddress | undefined {
  const match = /^\/ip([46])\/([^/]+)\/(tcp|udp)\/(\d{1,5})((?:\/.*)?)$/s.exec(text)
  if (match === null) return undefined
  const [, version, address, protocol, digits, rest] = match
  const port = Number(digits)
  if (address === undefined || rest === undefined || port > 65_535) return undefined
  const family = familyOf(address)
  if (family === undefined || String(family) !== version) return undefined
  return { family, address, protocol: protocol === 'udp' ? 'udp' : 'tcp', port, rest }
}
