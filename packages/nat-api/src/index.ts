/**
 * The API of `nat-api` and `@silentbot1/nat-api` on the strategies of Postern: `map`, `unmap`, `externalIp` and
 * `destroy`, with promises and with callbacks.
 *
 * @packageDocumentation
 */

// The originals are a default export (ESM) and `module.exports` (CommonJS): `require()` returns the class.
export { NatAPI, NatAPI as default, NatAPI as 'module.exports' } from './nat-api.js'
export type { NatAPIOptions } from './options.js'
export type { PortOptions } from './port-arguments.js'
