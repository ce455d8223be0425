import { WireType } from '@bufbuild/protobuf/wire'
import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeLength, readFields } from '../src/index.js'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const code = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return isNatError(error) ? error.code : error
  }
}

describe('decodeLength', () => {
  it.each([
    ['00', 0],
    ['7f', 127],
    ['8001', 128],
    ['8040', 8192]
  ])('decodeLength reads %s as %i', (bytes, length) => expect(decodeLength(hex(bytes), 8192)).toBe(length))

  it.each(['', '80', '8080'])('decodeLength throws a RangeError for the incomplete varint "%s"', (bytes) =>
    expect(() => decodeLength(hex(bytes), 8192)).toThrow(RangeError)
  )

  it.each(['8140', 'ffff7f', '808080', '80808080808080808080'])(
    'decodeLength refuses %s, which is too large or too long',
    (bytes) => expect(code(() => decodeLength(hex(bytes), 8192))).toBe('REPLY_TOO_LARGE')
  )

  it('decodeLength reads every number within the limit as protobuf writes it', () => {
    fc.assert(
      fc.property(fc.nat(0x1fffff), (length) => {
        const bytes = [length & 0x7f, (length >> 7) & 0x7f, length >> 14]
        const last = length > 0x3fff ? 2 : length > 0x7f ? 1 : 0
        const varint = bytes.slice(0, last + 1).map((byte, index) => (index < last ? byte | 0x80 : byte))
        expect(decodeLength(Uint8Array.from(varint), 0x1fffff)).toBe(length)
      })
    )
  })
})

describe('readFields', () => {
  const read = (bytes: Uint8Array): readonly unknown[] => {
    const seen: unknown[] = []
    readFields(bytes, {
      1: { type: WireType.Varint, read: (value) => seen.push(value.int32()) },
      2: { type: WireType.LengthDelimited, read: (value) => seen.push(Buffer.from(value.bytes()).toString('hex')) }
    })
    return seen
  }

  it('readFields reads fields in any order and skips unknown fields', () => {
    expect(read(hex('1202abcd 1801 0864'.replaceAll(' ', '')))).toEqual(['abcd', 100])
  })

  it.each([
    ['a truncated message', '1205ab'],
    ['a known field of another type', '0a00'],
    ['a group', '0b0c']
  ])('readFields rejects %s', (_, bytes) => expect(code(() => read(hex(bytes)))).toBe('MALFORMED_REPLY'))

  it('readFields returns or throws a NatError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const outcome = code(() => read(bytes))
        expect(Array.isArray(outcome) || outcome === 'MALFORMED_REPLY').toBe(true)
      })
    )
  })
})
