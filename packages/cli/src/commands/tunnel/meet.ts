import { type CallOptions, type Clock, type MultiaddrText, within } from '@postern/interface'
import { late } from '../../shared/late.js'
import { reasonOf } from '../../shared/libp2p-stack.js'
import { readDialAddress } from '../../shared/peers.js'
import type { TunnelNode } from './make-node.js'

/** The time limit for a connection, in ms: it takes three negotiations, possibly through a relay. */
export const meetMs = 10_000

/** Connects a node to public peers, each once. Calls `failed` for each failure. Resolves when each has connected or
 * failed. */
export async function meet(
  node: TunnelNode,
  addresses: readonly MultiaddrText[],
  failed: (address: MultiaddrText, message: string) => void,
  { clock, signal }: CallOptions & { readonly clock: Clock }
): Promise<void> {
  const meetings = [...new Set(addresses)].map(async (address) => {
    try {
      await within(clock, meetMs, { signal }, late, (call) => node.dial(readDialAddress(address), call))
    } catch (error) {
      if (!signal.aborted) failed(address, reasonOf(error))
    }
  })
  await Promise.all(meetings)
}
