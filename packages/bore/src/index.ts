/**
 * A port of a bore server: another host on which connections arrive and are carried to this one. It reaches a server
 * behind any NAT, without an account. The connection to the server is not encrypted, and the addresses of clients are
 * not known.
 *
 * @packageDocumentation
 */

export type { BoreOptions } from './options.js'
export { fromText } from './options.js'
export { bore } from './strategy.js'
