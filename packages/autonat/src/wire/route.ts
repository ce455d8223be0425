import type { Connection } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { canonicalAddress, type Family, familyOf } from '@postern/interface'

/** A direct way to a multiaddr: IP address, port and transport. */
export interface Route {
  /** The IP address in canonical form; an IPv4-mapped address becomes IPv4. */
  readonly host: string
  readonly family: Family
  readonly port: number
  /** `tcp`, `tcp/ws`, `udp/quic-v1`, …: the parts that both ends of a connection show alike. */
  readonly transport: string
  /** The peer that the address names. */
  readonly peerId: string | undefined
}

/** Parts that only one end of a connection may show: certificates, names, and TLS, which a proxy may terminate. */
const onlyHere: ReadonlySet<string> = new Set(['p2p', 'tls', 'sni', 'certhash', 'http', 'http-path', 'ip6zone'])

/** The longest valid multiaddr has about 300 bytes. The time to parse a multiaddr grows faster than its length. */
const maxLength = 1024

/**
 * Returns the route of a multiaddr; undefined if it is relayed, has no IP address, is longer than 1024 bytes, or is
 * invalid.
 */
export function routeOf(address: Multiaddr | Uint8Array | string): Route | undefined {
  if ((typeof address === 'string' || address instanceof Uint8Array) && address.length > maxLength) return undefined
  try {
    const parts = multiaddr(address).getComponents()
    const [ip, ...rest] = parts.filter(({ name }) => name !== 'ip6zone')
    const [port, ...above] = rest
    if ((ip?.name !== 'ip4' && ip?.name !== 'ip6') || (port?.name !== 'tcp' && port?.name !== 'udp')) return undefined
    if (parts.some(({ name }) => name === 'p2p-circuit')) return undefined
    const host = canonicalAddress(ip.value ?? '')
    const family = familyOf(host ?? '')
    if (host === undefined || family === undefined) return undefined
    const names = above.filter(({ name }) => !onlyHere.has(name)).map(({ name }) => (name === 'wss' ? 'ws' : name))
    const peerId = above.find(({ name }) => name === 'p2p')?.value
    return { host, family, port: Number(port.value), transport: [port.name, ...names].join('/'), peerId }
  } catch {
    return undefined
  }
}

/** Returns the route of a connection; undefined if the connection is relayed, limited or closed. */
export function directRoute(connection: Connection): Route | undefined {
  return connection.limits === undefined && connection.status === 'open' ? routeOf(connection.remoteAddr) : undefined
}

/** Returns whether an inbound connection from `remote` may be the result of a dial to `asked`. */
export const fits = (asked: Route, remote: Route): boolean =>
  asked.family === remote.family && asked.transport === remote.transport
