import { type NatError, natError } from '@postern/interface'
import { fingerprintOf, isStunMessage, magicCookie } from '@postern/net'
import { decodeAddress, type StunAddress } from './address-codec.js'

/** The length of the header in bytes (RFC 8489 §5). */
export const headerLength = 20
/** The length of the transaction id in bytes (RFC 8489 §5). */
export const idLength = 12
/** The maximum length of a message in bytes. Datagrams fit the path MTU (RFC 8489 §6.1); 2048 leaves room for PADDING
 * (RFC 5780 §7.6) and other attributes. */
export const maxMessageBytes = 2048
/** The maximum number of attributes; no answer to Binding has more. */
const maxAttributes = 64

/** The method Binding, the only one here (RFC 8489 §18.2). */
const binding = 0x001
/** The two class bits in the message type (RFC 8489 §5). */
const classes = { request: 0x000, indication: 0x010, success: 0x100, error: 0x110 } as const
type MessageClass = keyof typeof classes

/** The attribute types (RFC 8489 §18.3, RFC 5780 §9.1), and those of older servers (RFC 3489 §11.2, drafts of RFC
 * 5389). */
const types = {
  mappedAddress: 0x0001, // RFC 8489 §14.1
  responseAddress: 0x0002, // RFC 3489 §11.2.2
  changeRequest: 0x0003, // RFC 5780 §7.2
  sourceAddress: 0x0004, // RFC 3489 §11.2.5: RESPONSE-ORIGIN today
  changedAddress: 0x0005, // RFC 3489 §11.2.3: OTHER-ADDRESS today
  username: 0x0006,
  password: 0x0007, // RFC 3489 §11.2.7
  messageIntegrity: 0x0008, // RFC 8489 §14.5
  errorCode: 0x0009, // RFC 8489 §14.8
  unknownAttributes: 0x000a, // RFC 8489 §14.10
  reflectedFrom: 0x000b, // RFC 3489 §11.2.11
  realm: 0x0014,
  nonce: 0x0015,
  messageIntegritySha256: 0x001c,
  xorMappedAddress: 0x0020, // RFC 8489 §14.2
  padding: 0x0026, // RFC 5780 §7.6
  responsePort: 0x0027, // RFC 5780 §7.5
  draftXorMappedAddress: 0x8020, // draft-ietf-behave-rfc3489bis-02 §10.2.12
  software: 0x8022, // RFC 8489 §14.14
  fingerprint: 0x8028, // RFC 8489 §14.7
  responseOrigin: 0x802b, // RFC 5780 §7.3
  otherAddress: 0x802c // RFC 5780 §7.4
} as const
const known: ReadonlySet<number> = new Set(Object.values(types))
/** The first type of the comprehension-optional range; receivers must understand the types below it (RFC 8489 §14). */
const firstOptional = 0x8000

/** The flags of CHANGE-REQUEST (RFC 5780 §7.2). */
const changeFlags = { ip: 4, port: 2 } as const

/** A Binding request, which asks for the address that the server sees. */
export interface BindingRequest {
  /** The transaction id: 12 random bytes, which the answer repeats. */
  readonly id: Uint8Array
  /** Whether the server should answer from its other IP address, and from its other port (RFC 5780). */
  readonly change?: { readonly ip: boolean; readonly port: boolean }
  /** The port to which the server should answer, instead of the source port of the request (RFC 5780 §7.5). */
  readonly responsePort?: number
}

/** The relevant parts of a Binding message. Of several attributes of one type, the first one counts (RFC 8489 §14). */
export interface BindingMessage {
  readonly kind: MessageClass
  readonly id: Uint8Array
  /** XOR-MAPPED-ADDRESS; MAPPED-ADDRESS if the server sends only that. */
  readonly mapped?: StunAddress
  /** OTHER-ADDRESS, or CHANGED-ADDRESS of older servers. */
  readonly other?: StunAddress
  /** RESPONSE-ORIGIN, or SOURCE-ADDRESS of older servers. */
  readonly origin?: StunAddress
  /** ERROR-CODE, from 300 to 699. */
  readonly errorCode?: number
  /** UNKNOWN-ATTRIBUTES: the types that the server did not understand. */
  readonly notUnderstood?: readonly number[]
  /** The comprehension-required types in the message that this decoder does not know. */
  readonly unknown: readonly number[]
  /** SOFTWARE, shortened to printable ASCII. */
  readonly software?: string
}

/** Encodes a Binding request (RFC 8489 §6.1) with FINGERPRINT, which distinguishes it from other traffic on the same
 * socket. */
export function encodeBindingRequest({ id, change, responsePort }: BindingRequest): Uint8Array {
  const attributes: (readonly [number, Uint8Array])[] = []
  if (change !== undefined) {
    const flags = (change.ip ? changeFlags.ip : 0) | (change.port ? changeFlags.port : 0)
    attributes.push([types.changeRequest, Uint8Array.of(0, 0, 0, flags)])
  }
  // RFC 5780 §7.5: the port and two reserved bytes.
  if (responsePort !== undefined)
    attributes.push([types.responsePort, Uint8Array.of(responsePort >> 8, responsePort & 0xff, 0, 0)])
  return encodeMessage('request', id, attributes)
}

function encodeMessage(kind: MessageClass, id: Uint8Array, attributes: readonly (readonly [number, Uint8Array])[]) {
  const bodyLength = attributes.reduce((sum, [, value]) => sum + 4 + padded(value.length), 0)
  const bytes = new Uint8Array(headerLength + bodyLength + 8)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, binding | classes[kind])
  view.setUint16(2, bodyLength + 8)
  view.setUint32(4, magicCookie)
  bytes.set(id, 8)
  let at = headerLength
  for (const [type, value] of attributes) {
    view.setUint16(at, type)
    view.setUint16(at + 2, value.length)
    bytes.set(value, at + 4)
    at += 4 + padded(value.length)
  }
  view.setUint16(at, types.fingerprint)
  view.setUint16(at + 2, 4)
  view.setUint32(at + 4, fingerprintOf(bytes.subarray(0, at)))
  return bytes
}

/** Returns the length of a value with padding to a multiple of four bytes (RFC 8489 §14). */
const padded = (length: number): number => (length + 3) & ~3

/** Decodes a Binding message. Returns undefined if it is not STUN, or of another method. Throws `MALFORMED_REPLY` or
 * `REPLY_TOO_LARGE`. */
export function decodeBinding(bytes: Uint8Array): BindingMessage | undefined {
  if (!isStunMessage(bytes)) return undefined
  if (bytes.length > maxMessageBytes) throw natError('REPLY_TOO_LARGE', `a STUN message of ${bytes.length} bytes`)
  const view = viewOf(bytes)
  const kind = classOf(view.getUint16(0))
  if (kind === undefined) return undefined
  const id = bytes.slice(8, headerLength)
  const values = attributesOf(bytes, view)
  const address = (type: number, xored: boolean): StunAddress | undefined => {
    const value = values.get(type)
    return value === undefined ? undefined : decodeAddress(value, xored ? bytes.subarray(4, headerLength) : undefined)
  }
  const mapped =
    address(types.xorMappedAddress, true) ??
    address(types.draftXorMappedAddress, true) ??
    address(types.mappedAddress, false)
  const other = address(types.otherAddress, false) ?? address(types.changedAddress, false)
  const origin = address(types.responseOrigin, false) ?? address(types.sourceAddress, false)
  const error = values.get(types.errorCode)
  const notUnderstood = values.get(types.unknownAttributes)
  const software = values.get(types.software)
  return {
    kind,
    id,
    unknown: [...values.keys()].filter((type) => type < firstOptional && !known.has(type)),
    ...(mapped === undefined ? {} : { mapped }),
    ...(other === undefined ? {} : { other }),
    ...(origin === undefined ? {} : { origin }),
    ...(error === undefined ? {} : { errorCode: decodeErrorCode(error) }),
    ...(notUnderstood === undefined ? {} : { notUnderstood: decodeTypes(notUnderstood) }),
    ...(software === undefined ? {} : { software: printable(software) })
  }
}

function classOf(type: number): MessageClass | undefined {
  for (const kind of ['request', 'indication', 'success', 'error'] as const)
    if (type === (binding | classes[kind])) return kind
  return undefined
}

/** Returns the first value of each type, up to MESSAGE-INTEGRITY, after which attributes do not count. */
function attributesOf(bytes: Uint8Array, view: DataView): ReadonlyMap<number, Uint8Array> {
  const values = new Map<number, Uint8Array>()
  let count = 0
  let isSealed = false
  for (let at = headerLength; at < bytes.length; ) {
    if (++count > maxAttributes) throw malformed('too many attributes')
    if (at + 4 > bytes.length) throw malformed('an attribute without its length')
    const type = view.getUint16(at)
    const length = view.getUint16(at + 2)
    const end = at + 4 + padded(length)
    if (end > bytes.length) throw malformed('an attribute that is longer than the message')
    const value = bytes.subarray(at + 4, at + 4 + length)
    if (type === types.fingerprint) {
      // RFC 8489 §14.7: FINGERPRINT is the last attribute, and covers everything before it.
      if (length !== 4 || end !== bytes.length) throw malformed('a fingerprint in a wrong place')
      if (view.getUint32(at + 4) !== fingerprintOf(bytes.subarray(0, at))) throw malformed('a wrong fingerprint')
    } else if (!isSealed && !values.has(type)) values.set(type, value)
    // RFC 8489 §14.5: attributes after this one are not protected, and are ignored.
    if (type === types.messageIntegrity || type === types.messageIntegritySha256) isSealed = true
    at = end
  }
  return values
}

/** Decodes ERROR-CODE (RFC 8489 §14.8): the hundreds in three bits, the rest in a byte. */
function decodeErrorCode(value: Uint8Array): number {
  const [, , hundreds = 0, rest = 0] = value
  const code = (hundreds & 7) * 100 + rest
  if (value.length < 4 || rest > 99 || code < 300 || code > 699) throw malformed('an error code that does not exist')
  return code
}

function decodeTypes(value: Uint8Array): readonly number[] {
  const view = viewOf(value)
  return Array.from({ length: value.length >> 1 }, (_, index) => view.getUint16(index * 2))
}

/** Makes SOFTWARE safe for logs: RFC 8489 §14.14 allows 763 bytes of any text. */
const printable = (value: Uint8Array): string =>
  String.fromCharCode(...value.subarray(0, 64)).replaceAll(/[^\x20-\x7e]/g, '?')

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const malformed = (what: string): NatError => natError('MALFORMED_REPLY', `not a STUN answer: ${what}`)
