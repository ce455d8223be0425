/**
 * Circuit relay v2: reservations at libp2p relays.
 *
 * @packageDocumentation
 */
export type { RelayComponents, RelayHost } from './host.js'
