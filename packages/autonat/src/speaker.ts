import type { IdentifyResult, Peer, PeerId } from '@libp2p/interface'
import { dialRequestProtocol } from './codec.js'
import { protocolV1 } from './codec-v1.js'

/** The protocol that a witness is asked by. */
export type Version = 1 | 2

/** What a peer has told of itself by identify. */
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

export function storedSpeaker({ id: peerId, protocols, metadata }: Peer): Speaker {
  const agent = metadata.get('AgentVersion')
  return { peerId, protocols, agent: agent && new TextDecoder().decode(agent) }
}

/** Undefined for a peer that is not to be asked. Of version 1 that is one that may be written in JavaScript: see
 * `closesWhatItIsAskedOver`. */
export function versionOf({ protocols, agent }: Speaker): Version | undefined {
  if (protocols.includes(dialRequestProtocol)) return 2
  if (!protocols.includes(protocolV1)) return undefined
  return agent === undefined || closesWhatItIsAskedOver(agent) ? undefined : 1
}

/** `@libp2p/autonat` 3.0.28 takes the connection that there is for its dial, says no, and closes it. libp2p in JavaScript
 * ends its user agent with the runtime; older versions did with `UserAgent=`. */
function closesWhatItIsAskedOver(agent: string): boolean {
  return /\bjs-libp2p\/|\s(?:(?:node|deno|bun|electron|browser|react-native)\/|UserAgent=)/.test(agent)
}
