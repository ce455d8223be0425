import { multiaddr } from '@multiformats/multiaddr'
import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeMessage, encodeMessage, type Message } from '../../src/dcutr/codec.js'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const outcome = (bytes: Uint8Array): unknown => {
  try {
    return decodeMessage(bytes)
  } catch (error) {
    return isNatError(error) ? error.code : error
  }
}

const address = multiaddr('/ip4/1.2.3.4/tcp/80').bytes
const none = { mapping: undefined, birthday: false }

/** Written by hand from the message of the spec: libp2p/specs relay/DCUtR.md, "RPC messages". */
const golden: readonly (readonly [string, Message, string])[] = [
  [
    'CONNECT with two addresses',
    { kind: 'connect', addresses: [address, address], ...none },
    '0864 1208 0401020304060050 1208 0401020304060050'
  ],
  ['CONNECT without addresses', { kind: 'connect', addresses: [], ...none }, '0864'],
  ['SYNC', { kind: 'sync' }, '08ac02'],
  [
    'CONNECT from behind a symmetric NAT, with the birthday option',
    { kind: 'connect', addresses: [address], mapping: 'address-and-port-dependent', birthday: true },
    '0864 1208 0401020304060050 c83e02 d03e01'
  ]
]

describe('a message of DCUtR', () => {
  it.each(golden)('encodeMessage and decodeMessage use these bytes for %s', (_, message, bytes) => {
    expect(text(encodeMessage(message))).toBe(bytes.replaceAll(' ', ''))
    expect(decodeMessage(hex(bytes))).toEqual(message)
  })

  it('decodeMessage reads fields in any order and skips unknown fields', () => {
    expect(decodeMessage(hex('1208 0401020304060050 1a03 616263 0864'))).toMatchObject({
      kind: 'connect',
      addresses: [address]
    })
  })

  it('decodeMessage reads at most 32 addresses', () => {
    const many = encodeMessage({ kind: 'connect', addresses: Array.from({ length: 400 }, () => address), ...none })
    expect(decodeMessage(many)).toMatchObject({ addresses: { length: 32 } })
  })

  it('decodeMessage ignores an unknown mapping', () => {
    expect(decodeMessage(hex('0864 c83e07'))).toEqual({ kind: 'connect', addresses: [], ...none })
  })

  it.each([
    ['a message without a type', '1208 0401020304060050'],
    ['a message of another type', '0801'],
    ['a truncated address', '0864 1209 0401020304060050'],
    ['a type of another wire type', '0a0164'],
    ['a group', '0864 1b1c']
  ])('decodeMessage rejects %s', (_, bytes) => expect(outcome(hex(bytes))).toBe('MALFORMED_REPLY'))

  it('decodeMessage returns a message or throws a NatError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 128 }), (bytes) => {
        const seen = outcome(bytes)
        expect(seen === 'MALFORMED_REPLY' || typeof seen === 'object').toBe(true)
      })
    )
  })
})
