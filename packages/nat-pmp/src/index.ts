/**
 * A strategy for NAT-PMP (RFC 6886): asks the router for external IPv4 ports, for TCP or UDP, and deletes them on
 * release.
 *
 * @packageDocumentation
 */
export type { NatPmpOptions } from './options.js'
export { natPmp } from './strategy.js'
