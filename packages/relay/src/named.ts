import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, type NatError, natError, printable } from '@postern/interface'
import { orAborted, within } from '@postern/net'
import { isDialledDirectly } from './direct.js'
import type { RelayHost } from './host.js'

/** A relay that was named, with all the addresses that it was named by. */
export interface Named {
  readonly id: string
  readonly addresses: readonly Multiaddr[]
}

/** A relay that does not answer for so long is away, in ms. */
const dialMs = 5000
/** A connection that was there for so long was a good one, in ms: the next one may be made at once. */
const steadyMs = 10_000
/** A relay that restarts is back within seconds: those are spent asking. One that stays away is asked less and less. */
const firstMs = 250
const oftenMs = 2000
const oftenTimes = 30
const mostMs = 60_000

/** Keeps the connection from being the first that the connection manager prunes. */
const tag = 'postern-relay'

/** The wait after so many failures in a row, in ms. */
export const redialMs = (failures: number): number =>
  failures <= oftenTimes
    ? Math.min(oftenMs, firstMs * 2 ** (failures - 1))
    : Math.min(mostMs, oftenMs * 2 ** (failures - oftenTimes))

/** Dials a relay whenever we have not dialled it, until the signal aborts. That it cannot be reached is no error. */
export async function keepConnected(host: RelayHost, relay: Named, { signal }: CallOptions): Promise<void> {
  const { clock, components, log, random } = host
  const { connectionManager, peerStore, peerId } = components
  if (relay.id === peerId.toString()) {
    log.info('one of the relays that were named is this node itself; it is left out')
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
      // Where it has dialled us, or is connected through another relay, that connection would do for libp2p.
      connectionManager.openConnection([...relay.addresses], { ...call, force: true, priority: 75 })
    )
    if (!isDialledDirectly(connection)) throw natError('UNREACHABLE', 'only a connection that no other peer can use')
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
