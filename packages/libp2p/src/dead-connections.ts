import type { Connection } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import { type CallOptions, type Clock, type Network, natError, within } from '@postern/interface'

/** Every libp2p peer answers a negotiation of this protocol. */
const askedProtocol = '/ipfs/id/1.0.0'
/** Time limit for an answer (ms), enough for a distant peer over a congested link. */
const answerMs = 3000

/**
 * Returns a function that tells of each network whether this host has moved there from another one. The host has moved
 * if an address is gone and there is a gateway. Without a gateway, the address may come back and its connections may go
 * on.
 */
export function createMoveDetector(): (network: Network) => boolean {
  let before: readonly string[] = []
  return ({ gateways, addresses }) => {
    if (gateways.length === 0) return false
    const isGone = before.some((each) => !addresses.includes(each))
    before = addresses
    return isGone
  }
}

/**
 * Ends the connections to peers that do not answer within 3 s. For a host that has lost an address: the system
 * retransmits for minutes and libp2p checks every 10 s. Until then, relays seem to be connected but no peer can connect
 * through them.
 */
export async function endDeadConnections(
  { connectionManager }: { readonly connectionManager: ConnectionManager },
  clock: Clock,
  call: CallOptions
): Promise<void> {
  const open = connectionManager
    .getConnections()
    .filter(({ status, limits }) => status === 'open' && limits === undefined)
  await Promise.all(open.map((each) => endIfDead(each, clock, call)))
}

async function endIfDead(connection: Connection, clock: Clock, call: CallOptions): Promise<void> {
  const silent = natError('NO_REPLY', `the peer did not answer within ${answerMs} ms after a network change`)
  try {
    const stream = await within(
      clock,
      answerMs,
      call,
      () => silent,
      (bounded) => connection.newStream(askedProtocol, bounded)
    )
    stream.abort(new Error('the peer has answered'))
  } catch (error) {
    // With any other error, the peer has answered, or libp2p's own identify is running.
    if (error === silent) connection.abort(silent)
  }
}
