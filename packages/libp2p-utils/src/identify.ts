import type { IdentifyResult, Libp2pEvents, Peer, PeerId, PeerStore, TypedEventTarget } from '@libp2p/interface'
import { type CallOptions, type Clock, natError, within } from '@postern/interface'

/** Returns the agent version that a peer reported through identify; undefined if none is stored. */
export function agentVersionOf({ metadata }: Pick<Peer, 'metadata'>): string | undefined {
  const stored = metadata.get('AgentVersion')
  return stored && new TextDecoder().decode(stored)
}

/** A result of identify that a caller waits for. */
export interface NextIdentify {
  /** Resolves with the first result that matches. Never rejects. */
  readonly result: Promise<IdentifyResult>
  /** Stops listening. Idempotent. */
  stop(): void
}

/** Listens for the first result of identify that matches, from this call on. The caller must call `stop`. */
export function nextIdentify(
  events: TypedEventTarget<Libp2pEvents>,
  matches: (result: IdentifyResult) => boolean
): NextIdentify {
  const { promise: result, resolve } = Promise.withResolvers<IdentifyResult>()
  const identified = ({ detail }: CustomEvent<IdentifyResult>): void => {
    if (matches(detail)) resolve(detail)
  }
  events.addEventListener('peer:identify', identified)
  return { result, stop: () => events.removeEventListener('peer:identify', identified) }
}

/** The parts of a host that {@link waitForAgentVersion} uses. */
export interface IdentifyHost {
  /** The clock of the time limit. */
  readonly clock: Clock
  /** The parts of the libp2p node. */
  readonly components: {
    readonly events: TypedEventTarget<Libp2pEvents>
    readonly peerStore: Pick<PeerStore, 'get'>
  }
}

/** How long to wait for identify, which normally runs right after a connection opens (ms). */
const identifyMs = 1000

/**
 * Resolves with a peer's agent version from identify; undefined if it is not known within a second. Rejects with the
 * signal's reason.
 */
export async function waitForAgentVersion(
  { clock, components: { events, peerStore } }: IdentifyHost,
  peer: PeerId,
  call: CallOptions
): Promise<string | undefined> {
  const next = nextIdentify(events, ({ peerId }) => peerId.equals(peer))
  try {
    const known = await peerStore.get(peer).catch(() => undefined)
    const stored = known && agentVersionOf(known)
    if (stored !== undefined) return stored
    const late = (): Error => natError('NO_REPLY', `the peer did not identify itself within ${identifyMs} ms`)
    const identified = await within(clock, identifyMs, call, late, () => next.result).catch(() => undefined)
    call.signal.throwIfAborted()
    return identified?.agentVersion
  } finally {
    next.stop()
  }
}
