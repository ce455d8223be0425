import { canonicalAddress, familyOf } from './addresses.js'
import type { Family, MultiaddrText, Protocol } from './contract.js'
import { formatMultiaddr } from './multiaddr.js'

/**
 * What may follow the IP address and the port of a multiaddr that is dialled. The list is closed. Everything else names a
 * second destination (`/sni`, `/http-path`, `/unix`, `/p2p-circuit`) or is not a transport of libp2p's in JavaScript; a
 * transport that reads more of a multiaddr than its address and port could connect somewhere else than was checked.
 */
const transports = [
  'tcp',
  'tcp/ws',
  'tcp/tls/ws',
  'udp/quic-v1',
  'udp/quic-v1/webtransport',
  'udp/webrtc-direct'
] as const

/** The transports of {@link parseDialAddress}. */
export type DialTransport = (typeof transports)[number]

/** A place that can be connected to, and nothing more. */
export interface DialAddress {
  readonly family: Family
  /** In its canonical form; an IPv4-mapped IPv6 address is IPv4. Never with a zone. */
  readonly address: string
  readonly protocol: Protocol
  /** 1 to 65535. */
  readonly port: number
  readonly transport: DialTransport
  /** The peer at the end of the address, as it stands there. */
  readonly peerId: string | undefined
  /** The multiaddr, built anew from these parts and the certificate hashes: dial this one, never the text that was read. */
  readonly text: MultiaddrText
}

const maxLength = 1024
const maxCertificateHashes = 4
const certificateHash = /^u[\w-]{1,256}$/
const peerIdText = /^[1-9A-Za-z]{1,128}$/

/**
 * Reads the multiaddr that an untrusted peer tells. Returns undefined for every multiaddr that is not an IP address, a port, one
 * transport of a closed list, and at most the id of the peer.
 *
 * Whether the address may be dialled at all (`isGlobal`, for example) is the caller's to decide, on `address`: a
 * connection to `text` goes to that IP address and port, whatever else the peer has written.
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

/** Reads what follows the port. */
function readTail(protocol: Protocol, parts: readonly string[]): Tail | undefined {
  const names: string[] = [protocol]
  const certificates: string[] = []
  let peerId: string | undefined
  for (let index = 0; index < parts.length; index++) {
    const name = parts[index] ?? ''
    // The id of the peer is the last part, and certificate hashes follow the transport that has them.
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
 * Whether a multiaddr that the user, or a peer store, has for dialling says one place only: what {@link parseDialAddress}
 * reads, or the same with a name in the place of the IP address (`/dns4`, `/dns6`, `/dns`, `/dnsaddr`) or a zone before it
 * (`/ip6zone`), or one of these as a relay before `/p2p-circuit`. False for a second host or path behind the port, such as
 * `/sni` and `/http-path`.
 */
export function isDialable(text: string): boolean {
  if (text.length > maxLength) return false
  const [direct = '', circuit, ...more] = text.split(/\/p2p-circuit(?=\/|$)/)
  if (more.length > 0) return false
  if (circuit === undefined) return isPlace(direct)
  // Behind the relay: the peer, or the peer by WebRTC through the relay.
  const isTarget = circuit === '' || /^(?:\/webrtc)?(?:\/p2p\/[1-9A-Za-z]{1,128})?$/.test(circuit)
  return isTarget && (/^(?:\/(?:p2p|ipfs)\/[1-9A-Za-z]{1,128})?$/.test(direct) || isPlace(direct))
}

/** A host name as in DNS: letters, digits, hyphens and underscores between dots. */
const hostName = /^\/dns(?:4|6)?\/[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.?(?=\/)/
const dnsAddress = /^\/dnsaddr\/[\w-]{1,63}(?:\.[\w-]{1,63}){0,20}\.?(?:\/p2p\/[1-9A-Za-z]{1,128})?$/
const zone = /^\/ip6zone\/[\w.-]{1,64}(?=\/ip6\/)/

const isPlace = (text: string): boolean =>
  dnsAddress.test(text) || parseDialAddress(text.replace(hostName, '/ip4/192.0.2.1').replace(zone, '')) !== undefined
