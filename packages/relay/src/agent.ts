import type { IdentifyResult, PeerId } from '@libp2p/interface'
import { anySignal, type CallOptions } from '@postern/interface'
import type { RelayHost } from './host.js'

/** A peer that has not told what it is by then does not tell, in ms. It does so right after the connection has opened. */
const toldMs = 1000

/** The agent version that identify has told of a peer, or tells soon; undefined where it does not. Rejects with the
 * signal's reason. */
export async function agentOf(
  { clock, components: { events, peerStore } }: RelayHost,
  peer: PeerId,
  { signal }: CallOptions
): Promise<string | undefined> {
  const heard = new AbortController()
  let agent: string | undefined
  const identified = ({ detail }: CustomEvent<IdentifyResult>): void => {
    if (!detail.peerId.equals(peer)) return
    agent = detail.agentVersion
    heard.abort()
  }
  events.addEventListener('peer:identify', identified)
  try {
    const known = await peerStore.get(peer).catch(() => undefined)
    const told = known?.metadata.get('AgentVersion')
    if (told !== undefined) return new TextDecoder().decode(told)
    await clock.sleep(toldMs, { signal: anySignal([signal, heard.signal]) }).catch(() => undefined)
    signal.throwIfAborted()
    return agent
  } finally {
    events.removeEventListener('peer:identify', identified)
  }
}
