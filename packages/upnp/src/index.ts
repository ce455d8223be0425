/**
 * A strategy for UPnP IGD:1 and IGD:2: asks the router for external IPv4 ports, for TCP or UDP, and for IPv6 pinholes,
 * and deletes them on release.
 *
 * @packageDocumentation
 */
export type { UpnpOptions } from './options.js'
export { upnp } from './strategy.js'
