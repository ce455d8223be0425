import { fingerprintOf } from './fingerprint.js'

/** The magic cookie: bytes 4 to 7 of every message, and the mask of XORed addresses (RFC 8489 §5). */
export const magicCookie = 0x21_12_a4_42
/** The length of the header in bytes (RFC 8489 §5). */
const headerLength = 20
/** The length of the transaction id in bytes (RFC 8489 §5). */
const idLength = 12
/** The type of a Binding indication: class 0b01, method 0x001 (RFC 8489 §5 and §18.2). */
const bindingIndication = 0x0011
/** The type of the attribute FINGERPRINT, and the length of its value in bytes (RFC 8489 §14.7). */
const fingerprint = { type: 0x8028, length: 4 } as const

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * Returns whether a datagram looks like STUN (RFC 8489 §5 and §7.3): it begins with two zero bits, and has the magic
 * cookie and the right length. Every listener of a shared socket gets the answers to an observer and the datagrams of a
 * witness; a program can ignore them with this function.
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

/** Encodes a Binding indication (RFC 8489 §6.1) with FINGERPRINT. It asks for no answer. Throws a TypeError if the
 * transaction id does not have 12 bytes. */
export function encodeBindingIndication(id: Uint8Array): Uint8Array {
  if (id.length !== idLength) throw new TypeError(`a transaction id has ${idLength} bytes, not ${id.length}`)
  const bytes = new Uint8Array(headerLength + 4 + fingerprint.length)
  const view = viewOf(bytes)
  view.setUint16(0, bindingIndication)
  view.setUint16(2, bytes.length - headerLength)
  view.setUint32(4, magicCookie)
  bytes.set(id, 8)
  view.setUint16(headerLength, fingerprint.type)
  view.setUint16(headerLength + 2, fingerprint.length)
  view.setUint32(headerLength + 4, fingerprintOf(bytes.subarray(0, headerLength)))
  return bytes
}

/** Returns the transaction id of a Binding indication; undefined for any other datagram. Attributes are not read. */
export function decodeBindingIndication(bytes: Uint8Array): Uint8Array | undefined {
  if (!isStunMessage(bytes) || viewOf(bytes).getUint16(0) !== bindingIndication) return undefined
  return bytes.slice(8, headerLength)
}
