import type { Connection } from '@libp2p/interface'
import type { ConnectionManager } from '@libp2p/interface-internal'
import { type CallOptions, type Clock, type Network, natError } from '@postern/interface'
import { within } from '@postern/net'

/** Every libp2p peer answers whether it speaks this. */
const askedProtocol = '/ipfs/id/1.0.0'
/** From the other side of the world, over a link that is full, in ms. */
const answerMs = 3000

/**
 * Tells of each network whether this host has come there from another one: an address is gone, and there is a way out without
 * it. Where there is none the address may come back, and what is connected over it with it.
 */
export function createMoves(): (network: Network) => boolean {
  let before: readonly string[] = []
  return ({ gateways, addresses }) => {
    if (gateways.length === 0) return false
    const isGone = before.some((each) => !addresses.includes(each))
    before = addresses
    return isGone
  }
}

/**
 * Ends the connections on which nobody answers within 3 s. For a host that has lost an address: the system sends again for
 * minutes, libp2p looks every 10 s, and until then nobody gets through the relays that seem to be connected.
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
  const silent = natError('NO_REPLY', `the peer did not answer within ${answerMs} ms after the network had changed`)
  try {
    const stream = await within(
      clock,
      answerMs,
      call,
      () => silent,
      (bounded) => connection.newStream(askedProtocol, bounded)
    )
    stream.abort(new Error('the connection lives'))
  } catch (error) {
    // Whatever else it is, somebody has answered, or libp2p asks there already.
    if (error === silent) connection.abort(silent)
  }
}
