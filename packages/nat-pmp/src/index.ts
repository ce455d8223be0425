/**
 * NAT-PMP (RFC 6886) as a strategy: asks the router for an external IPv4 port, TCP or UDP, and gives it back.
 *
 * @packageDocumentation
 */
export type { NatPmpOptions } from './options.js'
export { natPmp } from './strategy.js'
