import type { Ability, Finding, Gateway, Mapper, MultiaddrText, Notice, Observer, Relay, Witness } from './contract.js'
import { isPrintable } from './printable.js'

export const isNotice = (finding: Finding): finding is Notice => finding.kind === 'notice'
export const isMapper = (ability: Ability): ability is Mapper => ability.kind === 'mapper'
export const isRelay = (ability: Ability): ability is Relay => ability.kind === 'relay'
export const isObserver = (ability: Ability): ability is Observer => ability.kind === 'observer'
export const isWitness = (ability: Ability): ability is Witness => ability.kind === 'witness'

/** Longer than any address of a handful of parts: what tells more is no address. */
const maxMultiaddrLength = 512

/** Whether a value has the outer form of a multiaddr, and can be shown to a person. Says nothing of its parts. */
export const isMultiaddrText = (value: unknown): value is MultiaddrText =>
  typeof value === 'string' &&
  value.length > 1 &&
  value.length <= maxMultiaddrLength &&
  value.startsWith('/') &&
  isPrintable(value)

/** Whether there is a next hop to talk to. A route into a point-to-point link has none. */
export const hasNextHop = (gateway: Gateway): boolean => gateway.address !== '0.0.0.0' && gateway.address !== '::'
