import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { canonicalAddress, type Family, familyOf, type MultiaddrText } from '@postern/interface'

/** Returns the host at the beginning of a multiaddr, an IP address or a DNS name, as text; undefined if it has none. */
export const hostOf = (address: Multiaddr): string | undefined =>
  // The first component may be the zone of an IPv6 address.
  address.getComponents().find(({ name }) => name !== 'ip6zone')?.value

/**
 * Returns the IP address at the beginning of a multiaddr in canonical form; undefined for a DNS name. For a relayed
 * multiaddr, this is the address of the relay.
 */
export const ipOf = (address: Multiaddr): string | undefined => canonicalAddress(hostOf(address) ?? '')

/**
 * Returns the peer id at the end of a multiaddr, as text in the form that connections use; an empty text if there is
 * none. Throws for a text that is not a multiaddr.
 */
export const peerIdOf = (address: MultiaddrText): string => {
  // The detour through bytes normalizes the peer id, which has two text forms.
  const last = multiaddr(multiaddr(address).bytes).getComponents().at(-1)
  return last?.name === 'p2p' ? (last.value ?? '') : ''
}

/** A direct way to a multiaddr: IP address, port and transport. */
export interface Route {
  /** The IP address in canonical form; an IPv4-mapped address becomes IPv4. */
  readonly host: string
  /** The IP version of `host`. */
  readonly family: Family
  /** The port, 0 to 65535. */
  readonly port: number
  /** `tcp`, `tcp/ws`, `udp/quic-v1`, …: the parts that both ends of a connection show alike. */
  readonly transport: string
  /** The peer that the address names. */
  readonly peerId: string | undefined
}

/** Parts that only one end of a connection may show: certificates, names, and TLS, which a proxy may terminate. */
const oneSided: ReadonlySet<string> = new Set(['p2p', 'tls', 'sni', 'certhash', 'http', 'http-path', 'ip6zone'])

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
    const names = above.filter(({ name }) => !oneSided.has(name)).map(({ name }) => (name === 'wss' ? 'ws' : name))
    const peerId = above.find(({ name }) => name === 'p2p')?.value
    return { host, family, port: Number(port.value), transport: [port.name, ...names].join('/'), peerId }
  } catch {
    return undefined
  }
}
