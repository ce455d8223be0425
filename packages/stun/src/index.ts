/**
 * A strategy for STUN (RFC 8489): which external address a server sees, and how the NAT in front of a socket behaves
 * (RFC 5780). The functions can also be used alone, over a shared UDP socket and over TCP.
 *
 * @packageDocumentation
 */
export type { Lookup } from '@postern/net'
export { isStunMessage } from '@postern/net'
export type { StunAddress } from './address-codec.js'
export type { Answer, AskOptions } from './ask.js'
export { askServer } from './ask.js'
export type { NatBehaviour } from './behaviour.js'
export { discoverBehaviour } from './behaviour.js'
export type { BehaviourOptions } from './behaviour-options.js'
export type { LifetimeOptions, MappingLifetime } from './lifetime.js'
export { discoverLifetime } from './lifetime.js'
export type { StunOptions } from './options.js'
export type { ServerName } from './server-name.js'
export { parseServer } from './server-name.js'
export { stun } from './strategy.js'
export type { ConnectTcp, ObserveTcpOptions, TcpObservation } from './tcp.js'
export { observeTcp } from './tcp.js'
