import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { errorText, isDialable, isGlobal, type MultiaddrText } from '@postern/interface'

/** Reading a multiaddr takes time that grows faster than its length. */
const maxAddressLength = 1024

/** Reads a multiaddr. Throws a TypeError that quotes what is none. */
export function readAddress(text: string): Multiaddr {
  if (text.length > maxAddressLength) {
    throw new TypeError(`a multiaddr has at most ${maxAddressLength} characters: ${text.slice(0, 80)}…`)
  }
  try {
    // By way of its bytes: only they show that the peer id is one.
    return multiaddr(multiaddr(text).bytes)
  } catch (cause) {
    const why = errorText(cause)
    throw new TypeError(`not a multiaddr: ${text} (${why})`, { cause })
  }
}

/** Reads a multiaddr that can be dialled. Throws a TypeError also for one that names a second place behind its port, such as
 * `/sni` and `/http-path` do: a connection could go there. */
export function readDialAddress(text: string): Multiaddr {
  const address = readAddress(text)
  if (isDialable(address.toString())) return address
  const example = '/dns4/<name>/tcp/443/tls/ws/p2p/<peer id>'
  throw new TypeError(`cannot be dialled: ${text}. Name one host, one port and one transport, as ${example}`)
}

/** The id at the end of a peer's multiaddr. Throws a TypeError where there is none. */
export function peerIdOf(text: string): string {
  const last = readDialAddress(text).getComponents().at(-1)
  if (last?.name !== 'p2p' || last.value === undefined) {
    throw new TypeError(`a peer is named by its address and its id, as /ip4/…/tcp/…/p2p/<peer id>: ${text}`)
  }
  return last.value
}

/** Whether a peer may be asked about an address: not through a relay, and not from inside the own network. */
export function isWitness(peer: MultiaddrText): boolean {
  const [host] = readAddress(peer).getComponents()
  if (peer.includes('/p2p-circuit') || host?.value === undefined) return false
  return host.name.startsWith('dns') || isGlobal(host.value)
}
