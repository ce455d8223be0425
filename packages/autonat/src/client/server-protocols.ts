import type { IdentifyResult, Peer, PeerId } from '@libp2p/interface'
import { agentVersionOf } from '@postern/libp2p-utils'
import { protocolV1 } from '../wire/v1.js'
import { dialRequestProtocol } from '../wire/v2.js'

/** The AutoNAT version that a witness is asked by. */
export type Version = 1 | 2

/** What a peer reported about itself through identify. */
export interface Speaker {
  readonly peerId: PeerId
  readonly protocols: readonly string[]
  /** Its `agentVersion`. */
  readonly agent: string | undefined
}

export const identifiedSpeaker = ({ peerId, protocols, agentVersion: agent }: IdentifyResult): Speaker => ({
  peerId,
  protocols,
  agent
})

export const storedSpeaker = (peer: Peer): Speaker => ({
  peerId: peer.id,
  protocols: peer.protocols,
  agent: agentVersionOf(peer)
})

/**
 * Returns the version to ask a peer by; undefined for a peer that must not be asked. A version 1 peer that may run
 * js-libp2p is not asked: see `closesConnectionWhenAsked`.
 */
export function versionOf({ protocols, agent }: Speaker): Version | undefined {
  if (protocols.includes(dialRequestProtocol)) return 2
  if (!protocols.includes(protocolV1)) return undefined
  return agent === undefined || closesConnectionWhenAsked(agent) ? undefined : 1
}

/**
 * Returns whether the peer may run `@libp2p/autonat` 3.0.28, which reuses the existing connection for its dial, answers
 * no, and closes that connection. The user agent of js-libp2p ends with the runtime; older versions end it with
 * `UserAgent=`.
 */
function closesConnectionWhenAsked(agent: string): boolean {
  return /\bjs-libp2p\/|\s(?:(?:node|deno|bun|electron|browser|react-native)\/|UserAgent=)/.test(agent)
}
