/**
 * A port of another host through SSH: a server of one's own, on which connections arrive and are carried to this host. It
 * reaches a server behind any NAT, checks the key of the other host, and tells the address of each client.
 *
 * @packageDocumentation
 */

export { fromText } from './from-text.js'
export type { SshOptions } from './options.js'
export { ssh } from './strategy.js'
