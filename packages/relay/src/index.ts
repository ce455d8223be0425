/**
 * Circuit relay v2 as a strategy: reservations at libp2p relays, taken early, kept alive, watched, and taken again.
 *
 * @packageDocumentation
 */
export type { RelayComponents, RelayHost } from './host.js'
export type { RelayOptions } from './options.js'
export { screenedCircuit } from './screen-stops.js'
export { relay } from './strategy.js'
