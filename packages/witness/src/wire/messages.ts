import { canonicalAddress, isPrintable, natError, type Protocol } from '@postern/interface'

/** The path of the request to connect, below the URL of the server. The version of the protocol is its first part. */
export const verifyPath = '/v1/verify'
/** The path of the request for the address that the server sees. */
export const addressPath = '/v1/address'
/** The media type of requests and replies. A web page cannot send it to another site without permission. */
export const mediaType = 'application/json'
/** The maximum size of a request in bytes; one has less than 200. */
export const maxRequestBytes = 1024
/** The maximum size of a reply in bytes; one has less than 300. */
export const maxReplyBytes = 4096
/** The length of the nonce in bytes. It is the transaction id of the STUN indication (RFC 8489 §5). */
export const nonceLength = 12
/** How long a connection may be held open before it is half-closed, in milliseconds. */
export const maxHoldMs = 1000
/** The maximum length of a text in a refusal. */
const maxTextLength = 200

/** An IP address and a port. */
export interface Place {
  /** The IP address in its canonical form. */
  readonly address: string
  /** 1 to 65535. */
  readonly port: number
}

/** The body of a request: which address to connect to. */
export interface VerifyRequest extends Place {
  /** The transport protocol. */
  readonly protocol: Protocol
  /** 12 random bytes. */
  readonly nonce: Uint8Array
  /** How long to hold a TCP connection open before it is half-closed, in milliseconds. */
  readonly holdMs: number
}

/** The body of a reply with status 200: what happened. The address and the port are those that the server connected
 * to. */
export type VerifyReply = Place &
  (
    | {
        /** `connected`: a TCP connection was established. `sent`: datagrams are being sent. */
        readonly outcome: 'connected' | 'sent'
        /** The own end of the connection or of the datagrams. */
        readonly from: Place
      }
    | {
        /** `refused`: the other side refused. `timeout`: it did not answer. `unreachable`: a router reported that there
         * is no way. */
        readonly outcome: 'refused' | 'timeout' | 'unreachable'
      }
  )

/** The reasons why a server does not connect: the member `error` of a reply with another status. */
export const refusals = {
  /** The request is not valid. */
  malformed: 400,
  /** A web page sent the request. */
  'web-page': 403,
  /** The server connects only to the address that the request comes from. */
  'address-differs': 403,
  /** The server does not connect to addresses of this class, or to its own. */
  'address-not-allowed': 403,
  /** The server does not connect to this port. */
  'port-not-allowed': 403,
  /** The path is another one. */
  'not-found': 404,
  /** The method is not that of the path. */
  'method-not-allowed': 405,
  /** The body is too large. */
  'too-large': 413,
  /** The media type is another one. */
  'media-type': 415,
  /** A limit was reached: of the address, of its network, or of all. */
  busy: 429,
  /** The server has no socket or no route at the moment, or stops. */
  failed: 503
} as const

/** A reason why a server does not connect. */
export type RefusalName = keyof typeof refusals

/** The body of a reply with a status other than 200. */
export interface Refusal {
  /** The reason, as a name. A client treats unknown names like the status. */
  readonly error: string
  /** The reason, as a sentence. */
  readonly message: string
  /** Only with `address-differs`: the address that the request came from. */
  readonly observed?: string
}

/** Encodes a request. */
export const encodeRequest = ({ nonce, ...rest }: VerifyRequest): string =>
  JSON.stringify({ ...rest, nonce: hexOf(nonce) })

/** Decodes the body of a request. Returns undefined for anything else. Unknown members are ignored. */
export function decodeRequest(body: Uint8Array): VerifyRequest | undefined {
  const { protocol, nonce, holdMs = 0, ...rest } = objectOf(body)
  const place = placeOf(rest)
  const bytes = bytesOf(nonce)
  if (place === undefined || bytes === undefined || (protocol !== 'tcp' && protocol !== 'udp')) return undefined
  if (typeof holdMs !== 'number' || !(holdMs >= 0 && holdMs <= maxHoldMs)) return undefined
  return { ...place, protocol, nonce: bytes, holdMs }
}

/** Decodes the body of a reply with status 200. Throws `MALFORMED_REPLY`. Unknown members are ignored. */
export function decodeReply(body: Uint8Array): VerifyReply {
  const { outcome, from, ...rest } = objectOf(body)
  const place = placeOf(rest)
  if (place === undefined) throw malformed('it does not tell what it connected to')
  if (outcome === 'refused' || outcome === 'timeout' || outcome === 'unreachable') return { ...place, outcome }
  if (outcome !== 'connected' && outcome !== 'sent') throw malformed('its outcome is unknown')
  const own = placeOf(isObject(from) ? from : {})
  if (own === undefined) throw malformed('it does not tell where it connected from')
  return { ...place, outcome, from: own }
}

/** Decodes the body of a reply with status 200 to a request for the address. Throws `MALFORMED_REPLY`. */
export function decodeAddress(body: Uint8Array): string {
  const { address } = objectOf(body)
  const canonical = typeof address === 'string' && !address.includes('%') ? canonicalAddress(address) : undefined
  if (canonical === undefined) throw malformed('it tells no address')
  return canonical
}

/** Decodes the body of a reply with another status. Any bytes give a refusal, since proxies answer in their own
 * words. */
export function decodeRefusal(body: Uint8Array): Refusal {
  const { error, message, observed } = objectOf(body)
  const address = typeof observed === 'string' ? canonicalAddress(observed) : undefined
  return {
    error: shortText(error) ?? 'unknown',
    message: shortText(message) ?? 'it gives no reason',
    ...(address === undefined ? {} : { observed: address })
  }
}

const malformed = (why: string): Error => natError('MALFORMED_REPLY', `not the reply of a witness: ${why}`)

const shortText = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && value.length <= maxTextLength && isPrintable(value) ? value : undefined

function placeOf({ address, port }: Readonly<Record<string, unknown>>): Place | undefined {
  const canonical = typeof address === 'string' && !address.includes('%') ? canonicalAddress(address) : undefined
  const isPort = typeof port === 'number' && Number.isInteger(port) && port > 0 && port <= 65_535
  return canonical === undefined || !isPort ? undefined : { address: canonical, port }
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Returns the members of a JSON object; none for any other bytes. */
function objectOf(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
    return isObject(value) ? value : {}
  } catch {
    return {}
  }
}

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

function bytesOf(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string' || value.length !== 2 * nonceLength || !/^[0-9a-f]+$/.test(value)) return undefined
  return Uint8Array.from({ length: nonceLength }, (_, at) => Number.parseInt(value.slice(2 * at, 2 * at + 2), 16))
}
