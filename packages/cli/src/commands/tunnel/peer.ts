import type { PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import type { Multiaddr } from '@multiformats/multiaddr'
import { peerIdOf, readDialAddress } from '../../shared/peers.js'

/** Returns the peer id of a private key. */
export const idOf = (key: PrivateKey): string => peerIdFromPrivateKey(key).toString()

/** The maximum length of a peer id: the time to decode one grows with the square of its length. */
const maxPeerIdLength = 128

/** Parses a peer id. Throws a TypeError that quotes an invalid one. */
export function readPeerId(text: string): PeerId {
  if (text.length > maxPeerIdLength) throw new TypeError(`not a peer id: ${text.slice(0, 80)}…`)
  try {
    return peerIdFromString(text)
  } catch (cause) {
    throw new TypeError(`not a peer id: ${text}`, { cause })
  }
}

/** Parses a peer: its id, which is reached through the relays, or its multiaddr. Throws a TypeError for other text. */
export function readPeer(
  text: string,
  relays: readonly string[]
): { readonly peer: PeerId; readonly addresses: readonly Multiaddr[] } {
  const isAddress = text.startsWith('/')
  const peer = readPeerId(isAddress ? peerIdOf(text) : text)
  const through = relays.map((relay) => readDialAddress(`${relay}/p2p-circuit/p2p/${peer.toString()}`))
  const addresses = isAddress ? [readDialAddress(text), ...through] : through
  if (addresses.length === 0) throw new TypeError('where is it? Name a relay with --relay, or give its whole multiaddr')
  return { peer, addresses }
}

/** Parses a target: `22`, `192.168.1.5:80`, `[fe80::1]:80` or `nas.local:445`. Throws a TypeError for other text. */
export function readTarget(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:(?:\[([\da-fA-F:.%\w]+)\]|([^\s:/[\]]+)):)?(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port < 1 || port > 65_535) throw new TypeError(`give a port, or <host>:<port>: ${text}`)
  return { host: match[1] ?? match[2] ?? '127.0.0.1', port }
}
