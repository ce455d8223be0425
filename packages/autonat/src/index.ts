/**
 * AutoNAT: libp2p peers as witnesses.
 *
 * @packageDocumentation
 */
export type { AutonatComponents, AutonatHost } from './host.js'
