import { classOf, type ErrorCode, type NatError, natError } from '@postern/interface'
import { type MappingReply, type MappingRequest, type Reply, result } from './codec.js'

/** RFC 6887 §7.4 calls every error long or short and suggests these lifetimes. Some servers say 0. */
const longSeconds = 30 * 60
const shortSeconds = 30
/** A day: what a server says beyond it is a mistake, or an attempt to be left alone for ever. */
const longestSeconds = 24 * 60 * 60

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

/** RFC 6887 §7.4. */
const meanings: ReadonlyMap<number, Meaning> = new Map([
  [1, meaning('UNSUPPORTED_VERSION', longSeconds, 'the router does not speak PCP version 2')],
  [2, meaning('NOT_AUTHORIZED', longSeconds, 'the router does not allow this mapping to this host')],
  [3, meaning('MALFORMED_REQUEST', longSeconds, 'the router finds the PCP request malformed')],
  [4, meaning('UNSUPPORTED', longSeconds, 'the router does not know this PCP request')],
  [5, meaning('UNSUPPORTED', longSeconds, 'the router does not know an option of the PCP request')],
  [6, meaning('MALFORMED_REQUEST', longSeconds, 'the router finds an option of the PCP request malformed')],
  [7, meaning('NETWORK_FAILURE', shortSeconds, 'the router has no external address that it could map')],
  [8, meaning('OUT_OF_RESOURCES', shortSeconds, 'the router has no room for another mapping')],
  [9, meaning('UNSUPPORTED', longSeconds, 'the router does not map this transport protocol')],
  [10, meaning('QUOTA_EXCEEDED', shortSeconds, 'this host holds as many mappings as the router allows it')],
  [11, meaning('CONFLICT', shortSeconds, 'the router cannot give this external port')],
  [12, meaning('ADDRESS_MISMATCH', longSeconds, 'something between us and the router translates our address')],
  [13, meaning('OUT_OF_RESOURCES', longSeconds, 'the router cannot filter for so many peers')]
])

/** What a server says against a request, as an error. */
export function refusal(reply: Reply): NatError {
  const unknown = meaning('GATEWAY_FAULT', shortSeconds, `the router answers with unknown PCP result ${reply.result}`)
  return errorOf(meanings.get(reply.result) ?? unknown, reply)
}

/** What a server says against a mapping. Tells more than {@link refusal} where the answer does. */
export function mappingRefusal(reply: MappingReply, asked: MappingRequest): NatError {
  if (reply.result === result.noResources) {
    const { externalAddress } = reply
    const reserved = reservedCode(externalAddress)
    // The address that we suggested is an echo of the request, and says nothing of the router's own.
    if (reserved !== undefined && externalAddress !== asked.suggestedExternalAddress) {
      const message = `the router's external address is ${externalAddress}, so it does not map`
      return errorOf(meaning(reserved, shortSeconds, message), reply)
    }
  }
  return refusal(reply)
}

/** miniupnpd refuses to map while its WAN address is a reserved one, and shows the address. */
function reservedCode(address: string): ErrorCode | undefined {
  const kind = classOf(address)
  if (kind === undefined || kind === 'global' || kind === 'unspecified') return undefined
  if (kind === 'carrier-grade') return 'CARRIER_NAT'
  return kind === 'private' ? 'DOUBLE_NAT' : 'EXTERNAL_ADDRESS_RESERVED'
}

function errorOf({ code, message, lifetimeSeconds }: Meaning, reply: Reply): NatError {
  const said = reply.lifetimeSeconds === 0 ? lifetimeSeconds : Math.min(reply.lifetimeSeconds, longestSeconds)
  return natError(code, message, { retryAfterMs: said * 1000 })
}
