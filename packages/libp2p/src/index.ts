/**
 * Postern for libp2p: one service that makes a node reachable.
 *
 * @packageDocumentation
 */
export type { Cause, Report, Verdict } from '@postern/core'
export type { Libp2pComponents, Libp2pHost } from './host.js'
export { libp2pMetrics } from './metrics.js'
export type { NatTraversal, NatTraversalInit } from './nat-traversal.js'
export { defaultStrategies, natTraversal } from './nat-traversal.js'
export type { PortMappingClient, PortMappingClientInit } from './port-mapping-client.js'
export { portMappingClient } from './port-mapping-client.js'
export type { PortMapping, PortMappingGateway, PortMappingOptions } from './port-mapping-types.js'
