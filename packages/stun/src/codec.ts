import { type NatError, natError } from '@postern/interface'
import { decodeAddress, type StunAddress } from './address-codec.js'
import { fingerprintOf } from './fingerprint.js'

/** RFC 8489 §5: the third to sixth byte pair of every message, and what addresses are XORed with. */
export const magicCookie = 0x21_12_a4_42
/** RFC 8489 §5. */
export const headerLength = 20
/** RFC 8489 §5: 96 bits. */
export const idLength = 12
/** RFC 8489 §6.1: datagrams fit the path; 2048 leaves room for whatever a server adds, and for PADDING (RFC 5780 §7.6). */
export const longestMessage = 2048
/** More attributes than any answer to Binding has. */
const mostAttributes = 64

/** RFC 8489 §18.2: the only method here. */
const binding = 0x001
/** RFC 8489 §5: the two class bits in the message type. */
const classes = { request: 0x000, indication: 0x010, success: 0x100, error: 0x110 } as const
type MessageClass = keyof typeof classes

/** RFC 8489 §18.3 and RFC 5780 §9.1; of older servers RFC 3489 §11.2 and the drafts of RFC 5389. */
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
/** RFC 8489 §14: what a receiver must understand stands in the lower half. */
const firstOptional = 0x8000

/** RFC 5780 §7.2: the flags of CHANGE-REQUEST. */
const changeFlags = { ip: 4, port: 2 } as const

/** A question for the address that the server sees. */
export interface BindingRequest {
  /** 12 random bytes: the answer carries them. */
  readonly id: Uint8Array
  /** From where the server is to answer instead of where it was asked (RFC 5780). */
  readonly change?: { readonly ip: boolean; readonly port: boolean }
  /** The port to answer to instead of the one that the question came from (RFC 5780 §7.5). */
  readonly responsePort?: number
}

/** What is of interest in a Binding message. The first attribute of a type counts (RFC 8489 §14). */
export interface BindingMessage {
  readonly kind: MessageClass
  readonly id: Uint8Array
  /** XOR-MAPPED-ADDRESS; MAPPED-ADDRESS where the server only has that. */
  readonly mapped?: StunAddress
  readonly other?: StunAddress
  readonly origin?: StunAddress
  /** 300…699. */
  readonly errorCode?: number
  /** Of UNKNOWN-ATTRIBUTES: what the server did not understand. */
  readonly notUnderstood?: readonly number[]
  /** Types in the message that must be understood and are not. */
  readonly unknown: readonly number[]
  /** What the server says that it is, shortened to printable ASCII. */
  readonly software?: string
}

/** RFC 8489 §6.1: a Binding request with FINGERPRINT, which tells it from everything else on the same socket. */
export function encodeBindingRequest({ id, change, responsePort }: BindingRequest): Uint8Array {
  const attributes: (readonly [number, Uint8Array])[] = []
  if (change !== undefined) {
    const flags = (change.ip ? changeFlags.ip : 0) | (change.port ? changeFlags.port : 0)
    attributes.push([types.changeRequest, Uint8Array.of(0, 0, 0, flags)])
  }
  // RFC 5780 §7.5: the port, and two bytes that mean nothing.
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

/** RFC 8489 §14: values end on a multiple of four bytes. */
const padded = (length: number): number => (length + 3) & ~3

/**
 * Whether a datagram looks like STUN and not like the program's own (RFC 8489 §5 and §7.3): two zero bits, the magic
 * cookie, and the length that it has. Answers to an observer come to every listener of a socket that was lent: a program
 * can pass over them with this.
 */
export function isStunMessage(bytes: Uint8Array): boolean {
  if (bytes.length < headerLength) return false
  const view = viewOf(bytes)
  const length = view.getUint16(2)
  return (
    view.getUint8(0) < 0x40 &&
    view.getUint32(4) === magicCookie &&
    length % 4 === 0 &&
    length === bytes.length - headerLength
  )
}

/** Reads a Binding message. Undefined for what is no STUN or of another method. Throws `MALFORMED_REPLY` or
 * `REPLY_TOO_LARGE`. */
export function decodeBinding(bytes: Uint8Array): BindingMessage | undefined {
  if (!isStunMessage(bytes)) return undefined
  if (bytes.length > longestMessage) throw natError('REPLY_TOO_LARGE', `a STUN message of ${bytes.length} bytes`)
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

/** The first value of each type, up to where a checksum ends what counts. */
function attributesOf(bytes: Uint8Array, view: DataView): ReadonlyMap<number, Uint8Array> {
  const values = new Map<number, Uint8Array>()
  let count = 0
  let isSealed = false
  for (let at = headerLength; at < bytes.length; ) {
    if (++count > mostAttributes) throw malformed('too many attributes')
    if (at + 4 > bytes.length) throw malformed('an attribute without its length')
    const type = view.getUint16(at)
    const length = view.getUint16(at + 2)
    const end = at + 4 + padded(length)
    if (end > bytes.length) throw malformed('an attribute that is longer than the message')
    const value = bytes.subarray(at + 4, at + 4 + length)
    if (type === types.fingerprint) {
      // RFC 8489 §14.7: the last attribute, over all that is before it.
      if (length !== 4 || end !== bytes.length) throw malformed('a fingerprint in a wrong place')
      if (view.getUint32(at + 4) !== fingerprintOf(bytes.subarray(0, at))) throw malformed('a wrong fingerprint')
    } else if (!isSealed && !values.has(type)) values.set(type, value)
    // RFC 8489 §14.5: anybody can add to what follows.
    if (type === types.messageIntegrity || type === types.messageIntegritySha256) isSealed = true
    at = end
  }
  return values
}

/** RFC 8489 §14.8: the hundreds in three bits, the rest in a byte. */
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

/** RFC 8489 §14.14 allows 763 bytes of any text; it goes into logs. */
const printable = (value: Uint8Array): string =>
  String.fromCharCode(...value.subarray(0, 64)).replaceAll(/[^\x20-\x7e]/g, '?')

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const malformed = (what: string): NatError => natError('MALFORMED_REPLY', `not a STUN answer: ${what}`)
