import { checkOptions, isDialable, isGlobal, isMultiaddrText, type MultiaddrText } from '@postern/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { routeOf } from './route.js'

export interface AutonatOptions {
  /** Peers to ask, as multiaddr text that ends in `/p2p/<peer id>`; at most 32. They are dialled, dialled again when the
   * connection is lost, and asked beside the peers that happen to be connected.
   * @default none */
  readonly peers?: readonly MultiaddrText[]
  /** Whether a peer at this IP address may be a witness. One in the own network sees no more than the own network.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayAsk?: (address: string) => boolean
  /** Whether a witness may be asked about this IP address of ours.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayVerify?: (address: string) => boolean
  /** How long one question may take, in ms.
   * @default 15_000 */
  readonly timeoutMs?: number
}

export type Settings = Required<AutonatOptions>

/** A witness each; their places are kept free. */
const mostPeers = 32

/** Reads the options once. Throws a TypeError for one that cannot be right. */
export function readOptions(options: AutonatOptions): Settings {
  checkOptions('autonat()', options, { peers: 'any', mayAsk: 'any', mayVerify: 'any', timeoutMs: 'number' })
  const { peers = [], mayAsk = isGlobal, mayVerify = isGlobal, timeoutMs = 15_000 } = options
  if (!Array.isArray(peers) || peers.length > mostPeers) {
    throw new TypeError(`peers is not an array of at most ${mostPeers} multiaddrs`)
  }
  for (const peer of peers) checkPeer(peer, mayAsk)
  if (typeof mayAsk !== 'function' || typeof mayVerify !== 'function') {
    throw new TypeError('mayAsk and mayVerify are functions of an IP address')
  }
  if (!(timeoutMs > 0 && timeoutMs <= 60_000)) throw new TypeError(`timeoutMs is not in 1…60000: ${timeoutMs}`)
  return { peers: [...peers], mayAsk, mayVerify, timeoutMs }
}

function checkPeer(peer: unknown, mayAsk: (address: string) => boolean): void {
  const names = namesOf(peer)
  const isDirect = names.at(-1) === 'p2p' && names.length > 1 && !names.includes('p2p-circuit')
  if (!isMultiaddrText(peer) || !isDirect || !isDialable(multiaddr(peer).toString())) {
    throw new TypeError(`a peer is not of the form /ip4/<address>/tcp/<port>/p2p/<peer id>: ${String(peer)}`)
  }
  // A name is judged when its address is known.
  const host = routeOf(peer)?.host
  if (host !== undefined && !mayAsk(host)) throw new TypeError(`a peer is at an address that may not be asked: ${peer}`)
}

/** Reading a multiaddr takes time that grows faster than its length. */
const maxAddressLength = 1024

/** The protocols of a multiaddr; none for what is no multiaddr. */
function namesOf(peer: unknown): readonly string[] {
  try {
    return typeof peer === 'string' && peer.length <= maxAddressLength
      ? multiaddr(peer)
          .getComponents()
          .map(({ name }) => name)
      : []
  } catch {
    return []
  }
}
