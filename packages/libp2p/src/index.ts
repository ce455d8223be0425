/**
 * Postern for libp2p.
 *
 * @packageDocumentation
 */
export type { Libp2pComponents, Libp2pHost } from './host.js'
