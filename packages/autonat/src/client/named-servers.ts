import { multiaddr } from '@multiformats/multiaddr'
import { type CallOptions, errorText, type MultiaddrText, printable } from '@postern/interface'
import { holdConnection, keepConnected } from '@postern/libp2p-utils'
import type { AutonatHost } from '../host.js'

/** How long a dial of a named server may take, in milliseconds, before the next one is planned. */
const dialMs = 10_000
/** The wait before the next dial, in milliseconds; it doubles with every failure. */
const backOffMs = { first: 5_000, max: 300_000 } as const
/** With this tag, the connection manager prunes other connections first. */
const tag = 'postern-autonat'

/** Keeps a connection to a configured server. Resolves when the signal aborts; a failed dial is retried. */
export function keepServer(host: AutonatHost, peer: MultiaddrText, { signal }: CallOptions): Promise<void> {
  const { clock, log, random, components } = host
  const { connectionManager, peerStore } = components
  const address = multiaddr(peer)
  return keepConnected({
    clock,
    random,
    signal,
    connectMs: dialMs,
    connect: (call) => connectionManager.openConnection(address, call),
    hold: (connection, call) => holdConnection(peerStore, tag, connection, call),
    delayMs: (failures) => Math.min(backOffMs.first * 2 ** Math.max(0, failures - 1), backOffMs.max),
    onLost: () => log.debug(`autonat: the connection to ${peer} was lost`),
    onFailed: (error) => log.debug(`autonat: ${peer} cannot be reached: ${printable(errorText(error))}`)
  })
}
