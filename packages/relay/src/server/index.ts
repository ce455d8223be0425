/**
 * A circuit relay v2 server with limits, as a libp2p service: reservations and relayed connections for each peer, IP
 * address and prefix.
 *
 * @packageDocumentation
 */

export { registerRelayMetrics } from './metrics.js'
export type { RelayServerInit } from './options.js'
export { type RelayCounters, type RelayServer, type RelayServerComponents, relayServer } from './relay-server.js'
