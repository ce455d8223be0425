/**
 * Proof that a server can be reached: servers on the internet connect to it when they are asked. Such a server is
 * `createWitnessServer()` of `@postern/witness/server`.
 *
 * @packageDocumentation
 */
export type { WitnessOptions } from './options.js'
export { witness } from './strategy.js'
