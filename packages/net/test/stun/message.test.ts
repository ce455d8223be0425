import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBindingIndication, encodeBindingIndication, isStunMessage } from '../../src/index.js'

const id = Uint8Array.from({ length: 12 }, (_, index) => index + 1)

describe('a Binding indication', () => {
  it('encodeBindingIndication writes the header and FINGERPRINT of RFC 8489', () => {
    // The checksum is CRC-32 over the 20 bytes of the header, XORed with 0x5354554e (§14.7), computed with Python's zlib.
    expect(Buffer.from(encodeBindingIndication(id)).toString('hex')).toBe(
      '001100082112a4420102030405060708090a0b0c802800044862c2c6'
    )
  })

  it('decodeBindingIndication returns the transaction id', () => {
    const bytes = encodeBindingIndication(id)
    expect(isStunMessage(bytes)).toBe(true)
    expect(decodeBindingIndication(bytes)).toEqual(id)
  })

  it('decodeBindingIndication returns undefined for a request, and for a datagram that was cut', () => {
    const bytes = encodeBindingIndication(id)
    expect(decodeBindingIndication(Uint8Array.from(bytes, (byte, at) => (at === 1 ? 0x01 : byte)))).toBeUndefined()
    expect(decodeBindingIndication(bytes.subarray(0, 24))).toBeUndefined()
  })

  it('decodeBindingIndication returns an id of 12 bytes or undefined for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const read = decodeBindingIndication(bytes)
        return read === undefined || read.length === 12
      })
    )
  })

  it('encodeBindingIndication throws a TypeError for an id of another length', () => {
    expect(() => encodeBindingIndication(id.subarray(1))).toThrow(TypeError)
  })
})
