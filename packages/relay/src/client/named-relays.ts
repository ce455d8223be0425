import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, type NatError, natError, printable } from '@postern/interface'
import { orAborted, within } from '@postern/net'
import type { RelayHost } from '../host.js'
import { isDialledDirectly } from './direct.js'

/** A configured relay with all its configured addresses. */
export interface Named {
  readonly id: string
  readonly addresses: readonly Multiaddr[]
}

/** Time limit of a dial (ms). */
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
export const redialMs = (failures: number): number =>
  failures <= oftenTimes
    ? Math.min(oftenMs, firstMs * 2 ** (failures - 1))
    : Math.min(maxMs, oftenMs * 2 ** (failures - oftenTimes))

/** Keeps an outbound connection to a relay. Resolves when the signal aborts; a failed dial is retried. */
export async function keepConnected(host: RelayHost, relay: Named, { signal }: CallOptions): Promise<void> {
  const { clock, components, log, random } = host
  const { connectionManager, peerStore, peerId } = components
  if (relay.id === peerId.toString()) {
    log.info('one of the configured relays is this node itself; it is ignored')
    return
  }
  let failures = 0
  while (!signal.aborted) {
    try {
      const connection = findConnection() ?? (await dial())
      const sinceMs = clock.monotonicMs()
      await stay(connection)
      failures = clock.monotonicMs() - sinceMs >= steadyMs ? 0 : failures + 1
    } catch (error) {
      if (signal.aborted) return
      failures++
      log.debug(`the relay ${relay.id} cannot be reached: ${printable(String(error))}`)
    }
    if (failures > 0) await clock.sleep(redialMs(failures) * (0.8 + random() * 0.4), { signal }).catch(() => undefined)
  }

  function findConnection(): Connection | undefined {
    return connectionManager
      .getConnections()
      .find((each) => each.remotePeer.toString() === relay.id && isDialledDirectly(each))
  }

  async function dial(): Promise<Connection> {
    const late = (): NatError => natError('NO_REPLY', `not connected within ${dialMs} ms`)
    const connection = await within(clock, dialMs, { signal }, late, (call) =>
      // `force`: libp2p would otherwise reuse an inbound or relayed connection to the relay.
      connectionManager.openConnection([...relay.addresses], { ...call, force: true, priority: 75 })
    )
    if (!isDialledDirectly(connection))
      throw natError('UNREACHABLE', 'the connection to the relay is not a direct outbound one')
    return connection
  }

  async function stay(connection: Connection): Promise<void> {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>()
    const end = (): void => close()
    connection.addEventListener('close', end)
    try {
      await peerStore.merge(connection.remotePeer, { tags: { [tag]: { value: 50 } } })
      if (connection.status === 'open') await orAborted(closed, { signal })
    } finally {
      connection.removeEventListener('close', end)
      await peerStore.merge(connection.remotePeer, { tags: { [tag]: undefined } }).catch(() => undefined)
    }
  }
}
