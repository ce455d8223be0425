import type { IdentifyResult, PeerId } from '@libp2p/interface'
import { anySignal, type CallOptions } from '@postern/interface'
import type { RelayHost } from '../host.js'

/** How long to wait for identify, which normally runs right after a connection opens (ms). */
const toldMs = 1000

/**
 * Resolves with a peer's agent version from identify; undefined if it is not known within a second. Rejects with the
 * signal's reason.
 */
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
