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
import type { Entry } from './entry.js'

/** Whether a port is mapped: yes, no and why, or not known yet. */
export type Ruling = 'mapped' | 'open' | NatError

/**
 * Says whether a port is mapped as the caller has asked for it.
 *
 * A granted port counts if it is the requested one and nothing is known against the address: the caller publishes both.
 *
 * @param contradicted - what the first hop says against external addresses
 * @param isSettled - whether everything that can be tried at first has been tried
 */
export function judge(
  entry: Entry,
  { candidates }: Report,
  contradicted: ReadonlyMap<string, NatError>,
  isSettled: boolean
): Ruling {
  const { external, publicPort, protocol, privatePort } = entry
  const isRight = (port: number | undefined): boolean => publicPort === undefined || port === publicPort
  const granted = candidates.filter(
    ({ type, endpoint, address }) =>
      type !== 'local' &&
      endpoint?.protocol === protocol &&
      endpoint.port === privatePort &&
      isRight(parseMultiaddr(address)?.port)
  )
  if (granted.some(({ state }) => state === 'consistent' || state === 'verified')) return 'mapped'
  if (external === null) return 'open'
  if (!isRight(external.port)) {
    return natError('CONFLICT', `the router does not have port ${publicPort}: it grants ${external.port} instead`)
  }
  // The router does not tell its address: nothing speaks against it.
  if (isWildcard(external.address)) return 'mapped'
  const doubt = contradicted.get(external.address) ?? reservedAddress(external.address)
  if (doubt !== undefined) return isSettled ? doubt : 'open'
  return granted.some(({ state }) => state === 'refuted')
    ? natError('REFUSED', 'hosts outside could not connect to the mapped port')
    : 'open'
}

function reservedAddress(address: string): NatError | undefined {
  if (isGlobal(address)) return undefined
  const text = `the router's external address is ${address}, which is not reachable from the internet`
  if (classOf(address) === 'carrier-grade') return natError('CARRIER_NAT', text)
  return natError(classOf(address) === 'private' ? 'DOUBLE_NAT' : 'EXTERNAL_ADDRESS_RESERVED', text)
}

/** Returns the error of a port that no strategy could map. */
export function failureOf(reasons: readonly EventReason[], { strategies }: Report, networkError: unknown): NatError {
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
