import { multiaddr } from '@multiformats/multiaddr'
import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeMessage, encodeMessage, type Message } from '../src/codec.js'

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

/** By hand from the message of the spec: libp2p/specs relay/DCUtR.md, "RPC messages". */
const golden: readonly (readonly [string, Message, string])[] = [
  [
    'CONNECT with two addresses',
    { kind: 'connect', addresses: [address, address], ...none },
    '0864 1208 0401020304060050 1208 0401020304060050'
  ],
  ['CONNECT without any', { kind: 'connect', addresses: [], ...none }, '0864'],
  ['SYNC', { kind: 'sync' }, '08ac02'],
  [
    'CONNECT from behind a symmetric NAT, by somebody who would guess',
    { kind: 'connect', addresses: [address], mapping: 'address-and-port-dependent', birthday: true },
    '0864 1208 0401020304060050 c83e02 d03e01'
  ]
]

describe('a message of DCUtR', () => {
  it.each(golden)('%s has these bytes', (_, message, bytes) => {
    expect(text(encodeMessage(message))).toBe(bytes.replaceAll(' ', ''))
    expect(decodeMessage(hex(bytes))).toEqual(message)
  })

  it('may have its fields in any order, and others that nobody knows', () => {
    expect(decodeMessage(hex('1208 0401020304060050 1a03 616263 0864'))).toMatchObject({
      kind: 'connect',
      addresses: [address]
    })
  })

  it('has no more addresses than anybody has ports', () => {
    const many = encodeMessage({ kind: 'connect', addresses: Array.from({ length: 400 }, () => address), ...none })
    expect(decodeMessage(many)).toMatchObject({ addresses: { length: 32 } })
  })

  it('of an unknown kind of mapping says nothing of it', () => {
    expect(decodeMessage(hex('0864 c83e07'))).toEqual({ kind: 'connect', addresses: [], ...none })
  })

  it.each([
    ['no type', '1208 0401020304060050'],
    ['another type', '0801'],
    ['an address that is cut short', '0864 1209 0401020304060050'],
    ['a type that is text', '0a0164'],
    ['a group', '0864 1b1c']
  ])('is none with %s', (_, bytes) => expect(outcome(hex(bytes))).toBe('MALFORMED_REPLY'))

  it('gives a value or a NatError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 128 }), (bytes) => {
        const seen = outcome(bytes)
        expect(seen === 'MALFORMED_REPLY' || typeof seen === 'object').toBe(true)
      })
    )
  })
})
