/**
 * AutoNAT, versions 2 and 1: libp2p peers act as witnesses that dial an address of this node from outside. The package
 * also contains a server that dials addresses for other peers.
 *
 * @packageDocumentation
 */
export type { AutonatComponents, AutonatHost } from './host.js'
export type { AutonatOptions } from './options.js'
export type { LimitRefusal } from './server/limits.js'
export type { AutonatServerInit } from './server/options.js'
export type { AutonatServer, AutonatServerCounters } from './server/server.js'
export { autonatServer } from './server/server.js'
export type { AutonatServerComponents } from './server/types.js'
export { autonat } from './strategy.js'
