import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { errorText, isDialable, isGlobal, type MultiaddrText } from '@postern/interface'

/** The maximum length of a multiaddr: the time to parse one grows faster than its length. */
const maxAddressLength = 1024

/** Parses a multiaddr. Throws a TypeError that quotes an invalid one. */
export function readAddress(text: string): Multiaddr {
  if (text.length > maxAddressLength) {
    throw new TypeError(`a multiaddr has at most ${maxAddressLength} characters: ${text.slice(0, 80)}…`)
  }
  try {
    // Convert it to bytes and back: only that validates the peer id.
    return multiaddr(multiaddr(text).bytes)
  } catch (cause) {
    const why = errorText(cause)
    throw new TypeError(`not a multiaddr: ${text} (${why})`, { cause })
  }
}

/** Parses a multiaddr for dialling. Also throws a TypeError for one that names a second place after its port, such as
 * with `/sni` or `/http-path`: a connection could go there. */
export function readDialAddress(text: string): Multiaddr {
  const address = readAddress(text)
  if (isDialable(address.toString())) return address
  const example = '/dns4/<name>/tcp/443/tls/ws/p2p/<peer id>'
  throw new TypeError(`cannot be dialled: ${text}. Name one host, one port and one transport, as ${example}`)
}

/** Returns the peer id at the end of a multiaddr. Throws a TypeError if there is none. */
export function peerIdOf(text: string): string {
  const last = readDialAddress(text).getComponents().at(-1)
  if (last?.name !== 'p2p' || last.value === undefined) {
    throw new TypeError(`a peer is named by its address and its id, as /ip4/…/tcp/…/p2p/<peer id>: ${text}`)
  }
  return last.value
}

/** Returns whether a peer may be asked to verify an address: not through a relay, and not in the local network. */
export function isWitness(peer: MultiaddrText): boolean {
  const [host] = readAddress(peer).getComponents()
  if (peer.includes('/p2p-circuit') || host?.value === undefined) return false
  return host.name.startsWith('dns') || isGlobal(host.value)
}
