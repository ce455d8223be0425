import type { NatError } from './contract.js'
import { printable, printableCause } from './printable.js'

/** Every code of the registry. Their meanings are in `error-meanings.ts`, so that comparing codes does not load the
 * texts. */
const codes = [
  'NO_REPLY',
  'REFUSED',
  'UNREACHABLE',
  'MALFORMED_REPLY',
  'REPLY_TOO_LARGE',
  'UNTRUSTED_REPLY',
  'PORT_TAKEN',
  'NO_SERVICE',
  'UNSUPPORTED_VERSION',
  'UNSUPPORTED',
  'NOT_AUTHORIZED',
  'NETWORK_FAILURE',
  'OUT_OF_RESOURCES',
  'QUOTA_EXCEEDED',
  'MALFORMED_REQUEST',
  'ADDRESS_MISMATCH',
  'CONFLICT',
  'ONLY_PERMANENT_LEASES',
  'SAME_PORT_REQUIRED',
  'PINHOLES_DISABLED',
  'GATEWAY_FAULT',
  'GRANT_INVALID',
  'GRANT_UNCHECKED',
  'MAPPING_LOST',
  'CARRIER_NAT',
  'DOUBLE_NAT',
  'EXTERNAL_ADDRESS_RESERVED',
  'ADDRESS_NOT_ROUTABLE',
  'EXTERNAL_ADDRESS_UNKNOWN',
  'NO_GATEWAY',
  'WITNESS_REFUSED',
  'WITNESS_UNPROVEN',
  'OBSERVER_REFUSED',
  'OBSERVERS_DISAGREE',
  'NAME_NOT_RESOLVED',
  'ATTEMPT_TIMEOUT',
  'SECONDARY_GATEWAY',
  'LEASE_LAPSED',
  'STRATEGY_FAULT',
  'NOT_PERMITTED',
  'STORE_UNUSABLE',
  'SYMMETRIC_NAT'
] as const

/** A code of the registry, {@link errorCodes}. */
export type ErrorCode = (typeof codes)[number]

const known: ReadonlySet<unknown> = new Set(codes)

/** Creates a {@link NatError}: an `Error` with a code of the registry. Escapes its message and its cause with {@link
 * printable}, because both may contain text from the network. */
export function natError(
  code: ErrorCode,
  message: string,
  details: {
    readonly cause?: unknown
    readonly retryAfterMs?: number
    readonly mayRemain?: boolean
    readonly externalAddress?: string
  } = {}
): NatError {
  const { cause, retryAfterMs, mayRemain, externalAddress } = details
  const error = new Error(printable(message), cause === undefined ? undefined : { cause: printableCause(cause) })
  error.name = 'NatError'
  return Object.assign(error, {
    code,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(mayRemain === undefined ? {} : { mayRemain }),
    ...(externalAddress === undefined ? {} : { externalAddress })
  })
}

/** Returns whether a value is a {@link NatError} with a code of the registry. Errors that another copy of this package
 * created count. */
export function isNatError(value: unknown): value is NatError & { readonly code: ErrorCode } {
  return value instanceof Error && 'code' in value && known.has(value.code)
}
