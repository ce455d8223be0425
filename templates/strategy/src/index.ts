/**
 * Opens ports through a service that forwards them, such as a hosting provider's firewall or a tunnel.
 *
 * @packageDocumentation
 */
export type { PortService, PortServiceOptions } from './options.js'
export { portService } from './strategy.js'
