import { classOf, type ErrorCode, type NatError, natError } from '@postern/interface'
import { type MappingReply, type MappingRequest, type Reply, result } from './codec.js'

/** The lifetimes that RFC 6887 §7.4 suggests for long and for short errors, in seconds. They replace a lifetime of 0,
 * which some servers send. */
const longSeconds = 30 * 60
const shortSeconds = 30
/** The maximum lifetime of an error, in seconds. A longer one is a mistake of the server, or an attempt to be avoided
 * for ever. */
const maxSeconds = 24 * 60 * 60

interface Meaning {
  readonly code: ErrorCode
  readonly message: string
  readonly lifetimeSeconds: number
}

const meaning = (code: ErrorCode, lifetimeSeconds: number, message: string): Meaning => ({
  code,
  lifetimeSeconds,
  message
})

/** The meanings of the result codes (RFC 6887 §7.4). */
const meanings: ReadonlyMap<number, Meaning> = new Map([
  [1, meaning('UNSUPPORTED_VERSION', longSeconds, 'the router does not speak PCP version 2')],
  [2, meaning('NOT_AUTHORIZED', longSeconds, 'the router does not allow this mapping to this host')],
  [3, meaning('MALFORMED_REQUEST', longSeconds, 'the router rejects the PCP request as malformed')],
  [4, meaning('UNSUPPORTED', longSeconds, 'the router does not support this PCP request')],
  [5, meaning('UNSUPPORTED', longSeconds, 'the router does not support an option of the PCP request')],
  [6, meaning('MALFORMED_REQUEST', longSeconds, 'the router rejects an option of the PCP request as malformed')],
  [7, meaning('NETWORK_FAILURE', shortSeconds, 'the router has no external address to map')],
  [8, meaning('OUT_OF_RESOURCES', shortSeconds, 'the router has no resources for another mapping')],
  [9, meaning('UNSUPPORTED', longSeconds, 'the router does not map this transport protocol')],
  [10, meaning('QUOTA_EXCEEDED', shortSeconds, 'this host has as many mappings as the router allows')],
  [11, meaning('CONFLICT', shortSeconds, 'the router cannot give this external port')],
  [12, meaning('ADDRESS_MISMATCH', longSeconds, 'a NAT between this host and the router translates the address')],
  [13, meaning('OUT_OF_RESOURCES', longSeconds, 'the router cannot filter for so many peers')]
])

/** Converts an error result to a NatError. */
export function refusal(reply: Reply): NatError {
  const unknown = meaning('GATEWAY_FAULT', shortSeconds, `the router answers with unknown PCP result ${reply.result}`)
  return errorOf(meanings.get(reply.result) ?? unknown, reply)
}

/** Converts the error result of a MAP request to a NatError. More specific than {@link refusal} if the answer shows a
 * reserved external address. */
export function mappingRefusal(reply: MappingReply, asked: MappingRequest): NatError {
  if (reply.result === result.noResources) {
    const { externalAddress } = reply
    const reserved = reservedCode(externalAddress)
    // The suggested address is an echo of the request, and not the address of the router.
    if (reserved !== undefined && externalAddress !== asked.suggestedExternalAddress) {
      const message = `the router's external address is ${externalAddress}, so it does not map ports`
      return errorOf(meaning(reserved, shortSeconds, message), reply, externalAddress)
    }
  }
  return refusal(reply)
}

/** Returns the error code for a reserved external address; undefined for other addresses. miniupnpd refuses to map
 * while its WAN address is reserved, and shows the address in its answer. */
function reservedCode(address: string): ErrorCode | undefined {
  const kind = classOf(address)
  if (kind === undefined || kind === 'global' || kind === 'unspecified') return undefined
  if (kind === 'carrier-grade') return 'CARRIER_NAT'
  return kind === 'private' ? 'DOUBLE_NAT' : 'EXTERNAL_ADDRESS_RESERVED'
}

function errorOf({ code, message, lifetimeSeconds }: Meaning, reply: Reply, externalAddress?: string): NatError {
  const said = reply.lifetimeSeconds === 0 ? lifetimeSeconds : Math.min(reply.lifetimeSeconds, maxSeconds)
  return natError(code, message, {
    retryAfterMs: said * 1000,
    ...(externalAddress === undefined ? {} : { externalAddress })
  })
}
