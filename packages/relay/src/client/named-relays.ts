import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, natError, printable, within } from '@postern/interface'
import { holdConnection, isDialledDirectly, keepConnected } from '@postern/libp2p-utils'
import type { RelayHost } from '../host.js'

/** A configured relay with all its configured addresses. */
export interface Named {
  readonly id: string
  readonly addresses: readonly Multiaddr[]
}

/** Time limit of a dial (ms). A relay that needs longer is dialled again after a delay. */
const dialMs = 5000
/** After a connection of at least this duration (ms), the next dial follows immediately. */
const steadyMs = 10_000
/** A relay that restarts is back within seconds, so the first delays are short. Later delays grow up to the maximum. */
const firstMs = 250
const oftenMs = 2000
const oftenTimes = 30
const maxMs = 60_000

/** With this tag, the connection manager prunes other connections first. */
const tag = 'postern-relay'

/** Returns the delay before the next dial after this number of consecutive failures, in milliseconds. */
export function redialMs(failures: number): number {
  if (failures === 0) return 0
  return failures <= oftenTimes
    ? Math.min(oftenMs, firstMs * 2 ** (failures - 1))
    : Math.min(maxMs, oftenMs * 2 ** (failures - oftenTimes))
}

/** Dials a relay once, if it is not connected. Resolves when that has succeeded or failed. */
export async function dialRelay(host: RelayHost, relay: Named, call: CallOptions): Promise<void> {
  const { clock, components, log } = host
  if (relay.id === components.peerId.toString() || findConnection(host, relay) !== undefined) return
  const late = (): Error => natError('NO_REPLY', `not connected within ${dialMs} ms`)
  await within(clock, dialMs, call, late, (bounded) => dial(host, relay, bounded)).catch((error: unknown) => {
    if (!call.signal.aborted) log.debug(unreachable(relay, error))
  })
}

/** Keeps an outbound connection to a relay. Resolves when the signal aborts; a failed dial is retried. */
export async function keepRelay(host: RelayHost, relay: Named, { signal }: CallOptions): Promise<void> {
  const { clock, components, log, random } = host
  const { peerStore, peerId } = components
  if (relay.id === peerId.toString()) {
    log.info('one of the configured relays is this node itself; it is ignored')
    return
  }
  await keepConnected({
    clock,
    random,
    signal,
    connectMs: dialMs,
    // If this relay is being dialled, libp2p joins the two dials.
    connect: async (call) => findConnection(host, relay) ?? (await dial(host, relay, call)),
    hold: (connection, call) => holdConnection(peerStore, tag, connection, call),
    minHeldMs: steadyMs,
    delayMs: redialMs,
    onFailed: (error) => log.debug(unreachable(relay, error))
  })
}

const unreachable = ({ id }: Named, error: unknown): string =>
  `the relay ${id} cannot be reached: ${printable(String(error))}`

const findConnection = ({ components }: RelayHost, { id }: Named): Connection | undefined =>
  components.connectionManager
    .getConnections()
    .find((each) => each.remotePeer.toString() === id && isDialledDirectly(each))

async function dial({ components }: RelayHost, { addresses }: Named, call: CallOptions): Promise<Connection> {
  // `force`: libp2p would otherwise reuse an inbound or relayed connection to the relay.
  const connection = await components.connectionManager.openConnection([...addresses], {
    ...call,
    force: true,
    priority: 75
  })
  if (!isDialledDirectly(connection))
    throw natError('UNREACHABLE', 'the connection to the relay is not a direct outbound one')
  return connection
}
