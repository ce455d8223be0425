import type { EventReason, Report } from '@postern/core'
import {
  classOf,
  type ErrorCode,
  errorCodes,
  isGlobal,
  isWildcard,
  type NatError,
  natError,
  parseMultiaddr
} from '@postern/interface'
import { type Entry, externalOf } from './entry.js'

/** Whether a port is mapped: yes; no and why, for good or unless a router behind the next hop maps it; or not known
 * yet. */
export type Ruling =
  | { readonly is: 'mapped' | 'open' }
  | { readonly is: 'refused' | 'doubtful'; readonly error: NatError }

/**
 * Says whether a port is mapped as the caller has asked for it.
 *
 * A granted port counts if it is the requested one and nothing is known against the address: the caller publishes both.
 *
 * @param contradicted - what the first hop says against external addresses
 */
export function judge(entry: Entry, { candidates }: Report, contradicted: ReadonlyMap<string, NatError>): Ruling {
  const { publicPort, protocol, privatePort, beyond, isRefusedBeyond } = entry
  const external = externalOf(entry)
  const isRight = (port: number | undefined): boolean => publicPort === undefined || port === publicPort
  const granted = candidates.filter(
    ({ type, endpoint, address }) =>
      type !== 'local' &&
      endpoint?.protocol === protocol &&
      endpoint.port === privatePort &&
      isRight(parseMultiaddr(address)?.port)
  )
  if (granted.some(({ state }) => state === 'consistent' || state === 'verified')) return { is: 'mapped' }
  if (external === null) return { is: 'open' }
  const doubt = beyond === null ? contradicted.get(external.address) : undefined
  const error = doubt ?? reservedAddress(external.address)
  if (error !== undefined) return { is: beyond === null && !isRefusedBeyond ? 'doubtful' : 'refused', error }
  if (hasOtherPort(entry)) {
    const text = `the router does not have port ${publicPort}: it grants ${external.port} instead`
    return { is: 'refused', error: natError('CONFLICT', text) }
  }
  // The router does not tell its address: nothing contradicts it.
  if (isWildcard(external.address)) return { is: 'mapped' }
  return granted.some(({ state }) => state === 'refuted')
    ? { is: 'refused', error: natError('REFUSED', 'hosts outside could not connect to the mapped port') }
    : { is: 'open' }
}

/** Whether a router has granted another port than the requested one. A router behind the next hop may grant the right one
 * if the address of the next hop is reserved. */
export function hasOtherPort(entry: Entry): boolean {
  const external = externalOf(entry)
  if (external === null || entry.publicPort === undefined || external.port === entry.publicPort) return false
  return reservedAddress(external.address) === undefined
}

function reservedAddress(address: string): NatError | undefined {
  if (isGlobal(address) || isWildcard(address)) return undefined
  const text = `the router's external address is ${address}, which is not reachable from the internet`
  if (classOf(address) === 'carrier-grade') return natError('CARRIER_NAT', text)
  return natError(classOf(address) === 'private' ? 'DOUBLE_NAT' : 'EXTERNAL_ADDRESS_RESERVED', text)
}

/** Returns the error of a port that no strategy could map. */
export function failureOf(
  reasons: readonly EventReason[],
  strategies: Report['strategies'] = [],
  networkError?: unknown
): NatError {
  const known =
    reasons.length > 0
      ? reasons
      : strategies.flatMap(({ name, reason }) => (reason === null ? [] : [{ strategy: name, ...reason }]))
  const text = known.map(({ strategy, message }) => `${strategy}: ${message}`).join('; ')
  const code = known.map((each) => each.code).find(isErrorCode) ?? 'NO_REPLY'
  if (text !== '') return natError(code, text)
  return networkError === undefined
    ? natError('NO_REPLY', 'no router has answered in time')
    : natError('UNREACHABLE', 'the network of this machine is not known', { cause: networkError })
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorCodes, code)
