import { multiaddr } from '@multiformats/multiaddr'
import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeDialResponseV1, encodeDialV1 } from '../../src/wire/v1.js'
import {
  decodeDialBack,
  decodeDialBackResponse,
  decodeMessage,
  encodeDialBack,
  encodeDialBackResponse,
  encodeMessage,
  type Message
} from '../../src/wire/v2.js'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const code = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return isNatError(error) ? error.code : error
  }
}

const address = multiaddr('/ip4/1.2.3.4/tcp/80').bytes
const longData = new Uint8Array(4096).fill(7)

/** Written by hand from the messages of the spec: `libp2p/specs` autonat/autonat-v2.md, "RPC Messages". */
const messages: readonly (readonly [string, Message, string])[] = [
  [
    'a request',
    { kind: 'dial-request', addresses: [address], nonce: 0x0102030405060708n },
    '0a13 0a08 0401020304060050 11 0807060504030201'
  ],
  [
    'a request of two addresses, with the largest nonce',
    { kind: 'dial-request', addresses: [address, address], nonce: 0xffffffffffffffffn },
    '0a1d 0a08 0401020304060050 0a08 0401020304060050 11 ffffffffffffffff'
  ],
  ['OK and OK', { kind: 'dial-response', status: 200, index: 0, dialStatus: 200 }, '1206 08c801 18c801'],
  [
    'E_DIAL_ERROR of the second address',
    { kind: 'dial-response', status: 200, index: 1, dialStatus: 100 },
    '1207 08c801 1001 1864'
  ],
  ['E_REQUEST_REJECTED', { kind: 'dial-response', status: 100, index: 0, dialStatus: 0 }, '1202 0864'],
  ['E_DIAL_REFUSED', { kind: 'dial-response', status: 101, index: 0, dialStatus: 0 }, '1202 0865'],
  [
    'E_INTERNAL_ERROR, which consists of default values',
    { kind: 'dial-response', status: 0, index: 0, dialStatus: 0 },
    '1200'
  ],
  ['a request for 30,000 bytes', { kind: 'dial-data-request', index: 0, bytes: 30_000n }, '1a04 10b0ea01'],
  ['a request for bytes for the third address', { kind: 'dial-data-request', index: 2, bytes: 1n }, '1a04 0802 1001'],
  ['data', { kind: 'dial-data-response', data: hex('aabbcc') }, '2205 0a03 aabbcc'],
  ['the most data', { kind: 'dial-data-response', data: longData }, `228320 0a8020 ${'07'.repeat(4096)}`]
]

describe('the messages of version 2', () => {
  it.each(messages)('the codec encodes and decodes %s', (_, message, bytes) => {
    expect(text(encodeMessage(message))).toBe(bytes.replace(/\s/g, ''))
    expect(decodeMessage(hex(bytes))).toEqual(message)
  })

  it('the codec encodes and decodes the nonce of a dial back', () => {
    expect(text(encodeDialBack(0x0102030405060708n))).toBe('090807060504030201')
    expect(decodeDialBack(hex('090807060504030201'))).toBe(0x0102030405060708n)
  })

  it('decodeDialBackResponse reads a response without bytes, and one with status 0, as OK', () => {
    expect(encodeDialBackResponse()).toHaveLength(0)
    expect(decodeDialBackResponse(hex(''))).toBe(0)
    expect(decodeDialBackResponse(hex('0800'))).toBe(0)
    expect(decodeDialBackResponse(hex('0801'))).toBe(1)
  })

  it('decodeMessage skips unknown fields', () => {
    expect(decodeMessage(hex('7801 1208 2001 08c801 18c801'))).toMatchObject({ status: 200, dialStatus: 200 })
  })

  it.each([
    ['nothing', ''],
    ['an unknown message only', '2a00'],
    ['a length beyond the end', '1206 08c8'],
    ['a nonce of another type', '0a02 1001'],
    ['a status of another type', '1203 0a0100'],
    ['a group', '0b'],
    ['field 0', '0001']
  ])('decodeMessage rejects %s', (_, bytes) => {
    expect(code(() => decodeMessage(hex(bytes)))).toBe('MALFORMED_REPLY')
  })

  it('decodeDialBack rejects a dial back without a nonce', () => {
    expect(code(() => decodeDialBack(hex('')))).toBe('MALFORMED_REPLY')
    expect(code(() => decodeDialBack(hex('0801')))).toBe('MALFORMED_REPLY')
  })
})

describe('the messages of version 1', () => {
  it('encodeDialV1 writes the message type although it is 0', () => {
    expect(encodeDialV1(hex('aabb'), address)).toEqual(hex('0800 1210 0a0e 0a02aabb 1208 0401020304060050'))
  })

  it('decodeDialResponseV1 reads a response', () => {
    expect(decodeDialResponseV1(hex('0801 1a10 0800 12026f6b 1a080401020304060050'))).toEqual({
      status: 0,
      text: 'ok',
      address
    })
    expect(decodeDialResponseV1(hex('0801 1a02 0864'))).toMatchObject({ status: 100, text: '' })
  })

  it.each([
    ['a message without a response', '0801'],
    ['a response in a message of another type', '0800 1a02 0800'],
    ['a response without a status', '0801 1a00']
  ])('decodeDialResponseV1 rejects %s', (_, bytes) => {
    expect(code(() => decodeDialResponseV1(hex(bytes)))).toBe('MALFORMED_REPLY')
  })
})

it.each([
  ['messages', decodeMessage],
  ['dial backs', decodeDialBack],
  ['dial back responses', decodeDialBackResponse],
  ['responses of version 1', decodeDialResponseV1]
])('decoding returns a value or throws a NatError for any bytes: %s', (_, decode) => {
  const known = fc.constantFrom(...messages.map(([, , bytes]) => hex(bytes)), hex('0801 1a02 0864'))
  const flipped = fc
    .tuple(known, fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }), fc.nat(200))
    .map(([bytes, changes, end]) => {
      const copy = bytes.slice(0, Math.max(1, bytes.length - (end % bytes.length)))
      for (const [at, value] of changes) copy[at % copy.length] = value
      return copy
    })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), flipped), (bytes) => {
      const result = code(() => decode(bytes))
      expect(result).not.toBeInstanceOf(Error)
    }),
    { numRuns: 2000 }
  )
})
