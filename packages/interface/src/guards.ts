import type {
  Ability,
  Finding,
  Forwarder,
  Gateway,
  Mapper,
  MultiaddrText,
  Notice,
  Observer,
  Relay,
  Witness
} from './contract.js'
import { isPrintable } from './printable.js'

/** Returns whether a finding is a notice. */
export const isNotice = (finding: Finding): finding is Notice => finding.kind === 'notice'
/** Returns whether an ability is a mapper. */
export const isMapper = (ability: Ability): ability is Mapper => ability.kind === 'mapper'
/** Returns whether an ability is a relay. */
export const isRelay = (ability: Ability): ability is Relay => ability.kind === 'relay'
/** Returns whether an ability is a forwarder. */
export const isForwarder = (ability: Ability): ability is Forwarder => ability.kind === 'forwarder'
/** Returns whether an ability is an observer. */
export const isObserver = (ability: Ability): ability is Observer => ability.kind === 'observer'
/** Returns whether an ability is a witness. */
export const isWitness = (ability: Ability): ability is Witness => ability.kind === 'witness'

/** Longer than any real multiaddr. */
const maxMultiaddrLength = 512

/** Returns whether a value looks like a multiaddr (it starts with `/` and has at most 512 characters) and is printable.
 * Does not check its parts. */
export const isMultiaddrText = (value: unknown): value is MultiaddrText =>
  typeof value === 'string' &&
  value.length > 1 &&
  value.length <= maxMultiaddrLength &&
  value.startsWith('/') &&
  isPrintable(value)

/** Returns whether a gateway has a next hop that can be asked. A route over a point-to-point link has none. */
export const hasNextHop = (gateway: Gateway): boolean => gateway.address !== '0.0.0.0' && gateway.address !== '::'
