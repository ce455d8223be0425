import type { Connection } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { canonicalAddress, type Family, familyOf } from '@postern/interface'

/** How a multiaddr is reached: directly, at an IP address. */
export interface Route {
  /** In its canonical form; an IPv4-mapped one is IPv4. */
  readonly host: string
  readonly family: Family
  readonly port: number
  /** `tcp`, `tcp/ws`, `udp/quic-v1`, …: what both ends of a connection name alike. */
  readonly transport: string
  /** The peer that the address names. */
  readonly peerId: string | undefined
}

/** What one end of a connection says and the other does not: certificates, names, and TLS, which a proxy may end. */
const onlyHere: ReadonlySet<string> = new Set(['p2p', 'tls', 'sni', 'certhash', 'http', 'http-path', 'ip6zone'])

/** A multiaddr with every part that a libp2p transport knows has some 300 bytes. Reading one takes time that grows faster
 * than its length. */
const maxLength = 1024

/** Undefined for what is relayed, has no IP address, or is no multiaddr. Longer than 1024 bytes, it is not looked at. */
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

/** The route of a connection; undefined for one that is relayed, limited or closed. */
export function directRoute(connection: Connection): Route | undefined {
  return connection.limits === undefined && connection.status === 'open' ? routeOf(connection.remoteAddr) : undefined
}

/** Whether a connection that came in from `remote` can have been dialled to `asked`. */
export const fits = (asked: Route, remote: Route): boolean =>
  asked.family === remote.family && asked.transport === remote.transport
