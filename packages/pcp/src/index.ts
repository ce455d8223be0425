/**
 * A strategy for PCP (RFC 6887): asks the router for external IPv4 ports and for IPv6 pinholes, for TCP or UDP, and
 * deletes them on release.
 *
 * @packageDocumentation
 */
export type { PcpOptions } from './options.js'
export { pcp } from './strategy.js'
