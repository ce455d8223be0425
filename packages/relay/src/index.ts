/**
 * Circuit relay v2 as a strategy: it requests reservations at libp2p relays early, keeps their connections alive, and
 * replaces lost reservations.
 *
 * @packageDocumentation
 */

export { screenedCircuit } from './circuit/screen-stops.js'
export type { RelayComponents, RelayHost } from './host.js'
export type { RelayOptions } from './options.js'
export { relay } from './strategy.js'
