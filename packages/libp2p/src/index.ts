/**
 * Postern for libp2p.
 *
 * @packageDocumentation
 */
export type { Libp2pComponents, Libp2pHost } from './host.js'
export type { NatTraversal, NatTraversalInit } from './nat-traversal.js'
export { defaultStrategies, natTraversal } from './nat-traversal.js'
