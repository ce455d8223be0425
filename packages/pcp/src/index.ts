/**
 * PCP (RFC 6887) as a strategy: asks the router for external IPv4 ports and for IPv6 pinholes, TCP or UDP, and gives
 * them back.
 *
 * @packageDocumentation
 */
export type { PcpOptions } from './options.js'
export { pcp } from './strategy.js'
