/**
 * A witness server: it connects to the address that a request comes from, so that the client knows whether it can be
 * reached.
 *
 * @packageDocumentation
 */

export type { RefusalName } from '../wire/messages.js'
export type { LimitRefusal } from './limits.js'
export type { TrustedProxies, WitnessServerOptions } from './options.js'
export type { WitnessServer, WitnessServerCounters } from './server.js'
export { createWitnessServer } from './server.js'
