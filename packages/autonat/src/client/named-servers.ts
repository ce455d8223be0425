import type { Connection } from '@libp2p/interface'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, errorText, type MultiaddrText, natError, printable } from '@postern/interface'
import { orAborted, within } from '@postern/net'
import type { AutonatHost } from '../host.js'

/** How long a dial may take, in milliseconds. */
const dialMs = 10_000
/** The wait before the next dial, in milliseconds; it doubles with every failure. */
const backOffMs = { first: 5_000, most: 300_000 } as const
/** With this tag, the connection manager prunes other connections first. */
const tag = 'postern-autonat'

/** Returns the peer id at the end of a multiaddr, as text in the form that connections use. */
export const peerIdOf = (peer: MultiaddrText): string =>
  multiaddr(multiaddr(peer).bytes).getComponents().at(-1)?.value ?? ''

/**
 * Connects to a peer and reconnects when the connection is lost. Resolves when the signal aborts; a failed dial is
 * retried.
 */
export async function keepConnected(host: AutonatHost, peer: MultiaddrText, { signal }: CallOptions): Promise<void> {
  const { clock, log, random, components } = host
  const address = multiaddr(peer)
  let failures = 0
  while (!signal.aborted) {
    try {
      await stayConnected(address, { signal })
      failures = 0
      log.debug(`autonat: the connection to ${peer} was lost`)
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      log.debug(`autonat: ${peer} cannot be reached: ${printable(errorText(error))}`)
    }
    const waitMs = Math.min(backOffMs.first * 2 ** Math.max(0, failures - 1), backOffMs.most)
    await clock.sleep(waitMs * (0.8 + 0.4 * random()), { signal }).catch(() => undefined)
  }

  async function stayConnected(named: Multiaddr, call: CallOptions): Promise<void> {
    const late = (): Error => natError('NO_REPLY', `not connected within ${dialMs} ms`)
    const connection = await within(clock, dialMs, call, late, (bounded) =>
      components.connectionManager.openConnection(named, bounded)
    )
    const { peerStore } = components
    try {
      await peerStore.merge(connection.remotePeer, { tags: { [tag]: { value: 50 } } })
      await closed(connection, call)
    } finally {
      await peerStore.merge(connection.remotePeer, { tags: { [tag]: undefined } })
    }
  }
}

async function closed(connection: Connection, { signal }: CallOptions): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const close = (): void => resolve()
  connection.addEventListener('close', close)
  try {
    if (connection.status === 'open') await orAborted(promise, { signal })
  } finally {
    connection.removeEventListener('close', close)
  }
}
