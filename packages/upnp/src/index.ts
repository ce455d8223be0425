/**
 * UPnP IGD:1 and IGD:2 as a strategy: asks the router for an external IPv4 port, TCP or UDP, or for an IPv6 pinhole, and
 * gives it back.
 *
 * @packageDocumentation
 */
export type { UpnpOptions } from './options.js'
export { upnp } from './strategy.js'
