import { canonicalAddress, familyOf } from './addresses.js'
import type { Family, MultiaddrText, Protocol } from './contract.js'
import { formatMultiaddr } from './multiaddr.js'

/**
 * The transports that may follow the IP address of a multiaddr that is dialled. The list is closed. Everything else
 * names a second destination (`/sni`, `/http-path`, `/unix`, `/p2p-circuit`) or is not a transport of js-libp2p. A
 * transport that reads more of a multiaddr than its address and port could connect to another place than the one that
 * was checked.
 */
const transports = [
  'tcp',
  'tcp/ws',
  'tcp/tls/ws',
  'udp/quic-v1',
  'udp/quic-v1/webtransport',
  'udp/webrtc-direct'
] as const

/** The transports that {@link parseDialAddress} accepts. */
export type DialTransport = (typeof transports)[number]

/** One address that can be dialled: a host, a port and a transport. */
export interface DialAddress {
  /** The family of the address. */
  readonly family: Family
  /** In its canonical form; an IPv4-mapped IPv6 address is IPv4. Never with a zone. */
  readonly address: string
  /** The transport protocol below `transport`. */
  readonly protocol: Protocol
  /** 1 to 65535. */
  readonly port: number
  /** The transport, with the protocols above it. */
  readonly transport: DialTransport
  /** The peer id at the end of the address, as written there. */
  readonly peerId: string | undefined
  /** The multiaddr, rebuilt from these parts and the certificate hashes. Dial this one, never the text that was
   * parsed. */
  readonly text: MultiaddrText
}

const maxLength = 1024
const maxCertificateHashes = 4
const certificateHash = /^u[\w-]{1,256}$/
const peerIdText = /^[1-9A-Za-z]{1,128}$/

/**
 * Parses a multiaddr from an untrusted peer. Returns undefined for every multiaddr that is not an IP address, a port,
 * one transport of a closed list, and optionally the id of the peer.
 *
 * The caller must decide by `address` whether the address may be dialled at all, with `isGlobal` for example. A
 * connection to `text` goes to that IP address and port, whatever else the peer wrote.
 */
export function parseDialAddress(text: string): DialAddress | undefined {
  if (text.length > maxLength) return undefined
  const [empty, ip, host = '', protocol, digits = '', ...above] = text.split('/')
  if (empty !== '' || (ip !== 'ip4' && ip !== 'ip6') || (protocol !== 'tcp' && protocol !== 'udp')) return undefined
  const address = host.includes('%') ? undefined : canonicalAddress(host)
  const family = familyOf(address ?? '')
  const port = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0
  if (address === undefined || family === undefined || port < 1 || port > 65_535) return undefined
  const tail = readTail(protocol, above)
  if (tail === undefined) return undefined
  const { transport, certificates, peerId } = tail
  const rest = [
    ...transport.split('/').slice(1),
    ...certificates.flatMap((each) => ['certhash', each]),
    ...(peerId === undefined ? [] : ['p2p', peerId])
  ]
  const built: MultiaddrText = `${formatMultiaddr(address, protocol, port)}${rest.map((each) => `/${each}`).join('')}`
  return { family, address, protocol, port, transport, peerId, text: built }
}

interface Tail {
  readonly transport: DialTransport
  readonly certificates: readonly string[]
  readonly peerId: string | undefined
}

/** Parses the part after the port. Returns undefined if it is not one of the transports. */
function readTail(protocol: Protocol, parts: readonly string[]): Tail | undefined {
  const names: string[] = [protocol]
  const certificates: string[] = []
  let peerId: string | undefined
  for (let index = 0; index < parts.length; index++) {
    const name = parts[index] ?? ''
    // The id of the peer must be the last part, and certificate hashes must follow a transport that uses them.
    if (peerId !== undefined) return undefined
    if (name === 'p2p' || name === 'ipfs') {
      peerId = parts[++index] ?? ''
      if (!peerIdText.test(peerId)) return undefined
    } else if (name === 'certhash') {
      const hash = parts[++index] ?? ''
      if (!certificateHash.test(hash) || certificates.length >= maxCertificateHashes) return undefined
      certificates.push(hash)
    } else {
      if (certificates.length > 0) return undefined
      names.push(...(name === 'wss' ? ['tls', 'ws'] : [name]))
    }
  }
  const transport = transports.find((each) => each === names.join('/'))
  const hasCertificates = transport === 'udp/webrtc-direct' || transport === 'udp/quic-v1/webtransport'
  if (transport === undefined || (certificates.length > 0 && !hasCertificates)) return undefined
  return { transport, certificates, peerId }
}

/**
 * Returns whether a multiaddr of the user or of a peer store names exactly one place. That is what {@link
 * parseDialAddress} accepts; the same with a name in place of the IP address (`/dns4`, `/dns6`, `/dns`, `/dnsaddr`) or
 * with a zone before it (`/ip6zone`); or one of these as a relay before `/p2p-circuit`. False if a second host or path
 * follows the port, such as `/sni` or `/http-path`.
 */
export function isDialable(text: string): boolean {
  if (text.length > maxLength) return false
  const [direct = '', circuit, ...more] = text.split(/\/p2p-circuit(?=\/|$)/)
  if (more.length > 0) return false
  if (circuit === undefined) return isPlace(direct)
  // After the relay: the peer, or the peer over WebRTC that is signalled through the relay.
  const isTarget = circuit === '' || /^(?:\/webrtc)?(?:\/p2p\/[1-9A-Za-z]{1,128})?$/.test(circuit)
  return isTarget && (/^(?:\/(?:p2p|ipfs)\/[1-9A-Za-z]{1,128})?$/.test(direct) || isPlace(direct))
}

/** A DNS host name: letters, digits, hyphens and underscores between dots. */
const hostName = /^\/dns(?:4|6)?\/[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.?(?=\/)/
const dnsAddress = /^\/dnsaddr\/[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.?(?:\/p2p\/[1-9A-Za-z]{1,128})?$/
const zone = /^\/ip6zone\/[\w.-]{1,64}(?=\/ip6\/)/

const isPlace = (text: string): boolean =>
  dnsAddress.test(text) || parseDialAddress(text.replace(hostName, '/ip4/192.0.2.1').replace(zone, '')) !== undefined
