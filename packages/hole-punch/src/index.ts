/**
 * Hole punching for libp2p as a Postern strategy: direct TCP connections between two homes, as DCUtR specifies.
 *
 * @packageDocumentation
 */

export type { Connect } from './dial/tcp-dial.js'
export type { HolePunchComponents, HolePunchHost } from './host.js'
export type { HolePunchOptions } from './options.js'
export { holePunch } from './strategy.js'
export type { UpgradeCause } from './upgrade/causes.js'
