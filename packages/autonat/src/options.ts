import { multiaddr } from '@multiformats/multiaddr'
import { checkOptions, isDialable, isGlobal, isMultiaddrText, type MultiaddrText } from '@postern/interface'
import { routeOf } from '@postern/libp2p-utils'

/** Options of `autonat()`. */
export interface AutonatOptions {
  /** Peers to ask, as multiaddr text that ends in `/p2p/<peer id>`; at most 32. The strategy dials them, dials them
   * again when the connection is lost, and asks them in addition to the peers that are connected anyway.
   * @default none */
  readonly peers?: readonly MultiaddrText[]
  /** Whether a peer at this IP address may be a witness. A peer in the local network cannot test from outside.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayAsk?: (address: string) => boolean
  /** Whether a witness may be asked about this IP address of the node.
   * @default `isGlobal` of `@postern/interface` */
  readonly mayVerify?: (address: string) => boolean
  /** How long one question may take, in milliseconds.
   * @default 15_000 */
  readonly timeoutMs?: number
}

export type Settings = Required<AutonatOptions>

/** Each named peer has a reserved place among the witnesses. */
const maxPeers = 32

/** Reads the options once. Throws a TypeError for an invalid option. */
export function readOptions(options: AutonatOptions): Settings {
  checkOptions('autonat()', options, { peers: 'any', mayAsk: 'any', mayVerify: 'any', timeoutMs: 'number' })
  const { peers = [], mayAsk = isGlobal, mayVerify = isGlobal, timeoutMs = 15_000 } = options
  if (!Array.isArray(peers) || peers.length > maxPeers) {
    throw new TypeError(`peers is not an array of at most ${maxPeers} multiaddrs`)
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
  // The address of a DNS name is checked when it is known.
  const host = routeOf(peer)?.host
  if (host !== undefined && !mayAsk(host)) throw new TypeError(`a peer is at an address that may not be asked: ${peer}`)
}

/** The time to parse a multiaddr grows faster than its length. */
const maxAddressLength = 1024

/** Returns the protocol names of a multiaddr; an empty list for anything else. */
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
