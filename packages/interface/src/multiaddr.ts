import { familyOf } from './addresses.js'
import type { Family, MultiaddrText, Protocol } from './contract.js'

/** The first two parts of a multiaddr, which are all that port mapping has to do with. */
export interface TransportAddress {
  readonly family: Family
  readonly address: string
  readonly protocol: Protocol
  readonly port: number
  /** What follows, `/ws` or `/quic-v1` for example; empty if nothing does. */
  readonly rest: string
}

/** `/ip4/203.0.113.7/tcp/8080` from its parts. IPv6 zones are left out: they mean nothing elsewhere. */
export function formatMultiaddr(address: string, protocol: Protocol, port: number): MultiaddrText {
  const family = familyOf(address)
  if (family === undefined) throw new TypeError(`not an IP address: ${address}`)
  return `/ip${family}/${address.replace(/%.*$/, '')}/${protocol}/${port}`
}

/** Reads a multiaddr that starts with an IP address and a port. Undefined for every other text. */
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
