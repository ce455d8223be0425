/**
 * A strategy for a port that was forwarded by hand in the router. The user names the external address or port; the
 * forward is validated, and does not count as reachable until a witness has verified it.
 *
 * @packageDocumentation
 */
export type { ManualOptions } from './options.js'
export { manual } from './strategy.js'
