/**
 * A forward that was made by hand in the router, as a strategy: named by its address or port, checked, and never just
 * believed.
 *
 * @packageDocumentation
 */
export type { ManualOptions } from './options.js'
export { manual } from './strategy.js'
