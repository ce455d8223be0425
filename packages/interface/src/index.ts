/**
 * The contract between NAT traversal strategies and the programs that use them.
 *
 * A strategy discovers abilities. An ability has one verb. What a verb grants is a lease. This package holds the types
 * of that sentence, the registry of error codes, guards, address classes, and helpers for signals and time limits. It does
 * no I/O.
 *
 * @packageDocumentation
 */

export type { AddressClass } from './addresses.js'
export {
  canonicalAddress,
  classOf,
  containerBridgeOf,
  familyOf,
  isGlobal,
  isInSubnet,
  isNeverExternal,
  isVpnInterface,
  isWildcard,
  networkPrefixOf
} from './addresses.js'
export { anySignal } from './any-signal.js'
export { abortReason, orAborted, untilAborted } from './async/abort.js'
export type { Queue } from './async/queue.js'
export { createQueue } from './async/queue.js'
export { waitAtMost, within } from './async/time-limits.js'
export type {
  Ability,
  Arrival,
  Behaviour,
  CallOptions,
  CarriedConnection,
  Clock,
  DescribedNotice,
  Discovery,
  Endpoint,
  Evidence,
  Family,
  Finding,
  Forwarder,
  ForwardLease,
  ForwardRequest,
  Gateway,
  GatewayDevice,
  Host,
  Lease,
  ListedMapping,
  Logger,
  Mapper,
  MapRequest,
  MultiaddrText,
  NatError,
  Network,
  Notice,
  Observation,
  ObservedNotice,
  Observer,
  Protocol,
  Puncher,
  Relay,
  RelayLimits,
  RemoteParty,
  ServerHost,
  SharedUdpSocket,
  Strategy,
  UpgradeNotice,
  Witness
} from './contract.js'
export type { DialAddress, DialTransport } from './dial-address.js'
export { isDialable, parseDialAddress } from './dial-address.js'
export type { ErrorMeaning } from './error-meanings.js'
export { errorCodes } from './error-meanings.js'
export { errorText } from './error-text.js'
export type { ErrorCode } from './errors.js'
export { isNatError, natError } from './errors.js'
export { boundGateways, formatDevice, maxGatewaysPerFamily } from './gateways.js'
export {
  hasNextHop,
  isForwarder,
  isMapper,
  isMultiaddrText,
  isNotice,
  isObserver,
  isRelay,
  isWitness
} from './guards.js'
export type { TransportAddress } from './multiaddr.js'
export { formatMultiaddr, parseMultiaddr } from './multiaddr.js'
export type { OptionKind, OptionKinds } from './option-names.js'
export { checkOptions, didYouMean } from './option-names.js'
export { isPrintable, printable } from './printable.js'
export type { Timers } from './system-clock.js'
export { clockWith, systemClock } from './system-clock.js'
