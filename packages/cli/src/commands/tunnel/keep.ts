import type { Connection, PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type Clock, orAborted, printable, waitAtMost } from '@postern/interface'
import { isDirect, keepConnected } from '@postern/libp2p-utils'
import { reasonOf } from '../../shared/libp2p-stack.js'
import { dialMs, dialPeer, openConnections, type Upgraded, upgradePeer } from './connections.js'
import type { TunnelNode } from './make-node.js'

/** The news about the connection to a peer. */
export type Kept =
  | { readonly event: 'connected'; readonly via: 'direct' | 'relayed'; readonly address: string }
  | Upgraded
  | { readonly event: 'lost' }
  | { readonly event: 'not-connected'; readonly message: string; readonly retryMs: number }

/** Keeps a peer connected. */
export interface Keeper {
  /**
   * Resolves to the connection for the next tunnel. Waits up to 2 s for a direct one, and otherwise takes the relayed
   * one. Rejects with the signal's reason if there is none.
   */
  best(call: { readonly signal: AbortSignal }): Promise<Connection>
}

/** How long to wait for a direct connection, in ms. An ordinary relay closes a connection after 128 KiB or 2 min. */
const directWaitMs = 2000
/** How long to wait for the event of a connection that is closing, in ms. */
const closingMs = 50
/** The pauses between attempts, in ms; they double. */
const retry = { initialMs: 500, maxMs: 30_000 } as const

/** Keeps a peer connected until the signal aborts, and makes the connection direct if possible. */
export function keepPeer(
  node: TunnelNode,
  peer: PeerId,
  addresses: readonly Multiaddr[],
  told: (news: Kept) => void,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }
): Keeper {
  let settled = Promise.withResolvers<void>()
  let waiting = Promise.withResolvers<void>()

  const open = (): readonly Connection[] => openConnections(node, peer)

  async function upgrade(): Promise<void> {
    const outcome = await upgradePeer(node, peer, { clock, signal })
    if (outcome !== undefined) told(outcome)
  }

  /** Resolves when no connection is left. */
  const gone = (): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!signal.aborted && open().length > 0) return
        node.removeEventListener('connection:close', look)
        signal.removeEventListener('abort', look)
        resolve()
      }
      node.addEventListener('connection:close', look)
      signal.addEventListener('abort', look)
      look()
    })

  async function hold(first: Connection): Promise<void> {
    const via = isDirect(first) ? 'direct' : 'relayed'
    told({ event: 'connected', via, address: printable(first.remoteAddr.toString()) })
    const upgraded = via === 'direct' ? Promise.resolve() : upgrade()
    void waitAtMost(clock, directWaitMs, upgraded, undefined, { signal }).then(settled.resolve)
    waiting.resolve()
    await gone()
    settled = Promise.withResolvers()
    waiting = Promise.withResolvers()
  }

  void keepConnected({
    clock,
    signal,
    connectMs: dialMs,
    connect: (call) => dialPeer(node, peer, addresses, call),
    hold,
    delayMs: (failures) => (failures === 0 ? 0 : Math.min(retry.initialMs * 2 ** (failures - 1), retry.maxMs)),
    onLost: () => told({ event: 'lost' }),
    onFailed: (error, retryMs) => told({ event: 'not-connected', message: reasonOf(error), retryMs })
  })

  return {
    async best(call) {
      for (;;) {
        await orAborted(waiting.promise, call)
        await orAborted(settled.promise, call)
        const [best] = open()
        if (best !== undefined) return best
        // The last connection is closing, but its event has not been emitted yet.
        await clock.sleep(closingMs, call)
      }
    }
  }
}
