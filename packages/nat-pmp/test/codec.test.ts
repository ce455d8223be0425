import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeExternalAddressReply,
  decodeMappingReply,
  encodeExternalAddressRequest,
  encodeMappingRequest
} from '../src/codec.js'

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(hex.replaceAll(' ', '').match(/../g) ?? [], (each) => Number.parseInt(each, 16))
const hex = (data: Uint8Array): string => [...data].map((byte) => byte.toString(16).padStart(2, '0')).join('')
const code = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
}
const web = { protocol: 'tcp', internalPort: 8080 } as const

describe('requests', () => {
  it('encodeExternalAddressRequest returns two bytes (RFC 6886 §3.2)', () => {
    expect(hex(encodeExternalAddressRequest())).toBe('0000')
  })

  it('encodeMappingRequest returns twelve bytes, with the lifetime in seconds (RFC 6886 §3.3)', () => {
    const tcp = { ...web, suggestedExternalPort: 9090, lifetimeSeconds: 7200 }
    expect(hex(encodeMappingRequest(tcp))).toBe('000200001f90238200001c20')
    expect(hex(encodeMappingRequest({ ...tcp, protocol: 'udp' }))).toBe('000100001f90238200001c20')
  })

  it('encodeMappingRequest deletes with lifetime 0 and external port 0 (RFC 6886 §3.4)', () => {
    expect(hex(encodeMappingRequest({ ...web, suggestedExternalPort: 0, lifetimeSeconds: 0 }))).toBe(
      '000200001f90000000000000'
    )
  })
})

describe('replies', () => {
  it('decodeExternalAddressReply returns the external address and the epoch', () => {
    expect(decodeExternalAddressReply(bytes('0080 0000 00000e10 0b000002'))).toEqual({
      epochSeconds: 3600,
      address: '11.0.0.2'
    })
  })

  it('decodeMappingReply returns the granted port and lifetime', () => {
    const reply = bytes('0082 0000 00000e10 1f90 2382 00000e10')
    expect(decodeMappingReply(reply, web)).toEqual({ epochSeconds: 3600, externalPort: 9090, lifetimeSeconds: 3600 })
  })

  it.each([
    ['no internal port', '0082 0000 00000e10 0000 2382 00000e10'],
    ['the external port in its place', '0082 0000 00000e10 2382 2382 00000e10']
  ])('decodeMappingReply accepts an answer with %s', (_, text) => {
    expect(decodeMappingReply(bytes(text), web)).toMatchObject({ externalPort: 9090 })
  })

  it.each([
    ['another opcode', '0081 0000 00000e10 1f90 2382 00000e10'],
    ['the other request', '0080 0000 00000e10 0b000002'],
    ['another internal port', '0082 0000 00000e10 1f91 2382 00000e10']
  ])('decodeMappingReply returns undefined for %s', (_, text) => {
    expect(decodeMappingReply(bytes(text), web)).toBeUndefined()
  })

  it.each([
    [1, 'UNSUPPORTED_VERSION'],
    [2, 'NOT_AUTHORIZED'],
    [3, 'NETWORK_FAILURE'],
    [4, 'OUT_OF_RESOURCES'],
    [5, 'UNSUPPORTED'],
    [6, 'GATEWAY_FAULT'],
    [65_535, 'GATEWAY_FAULT']
  ])('the decoders convert result %i to %s, even in a bare header', (result, expected) => {
    const header = bytes('00820000 00000e10')
    new DataView(header.buffer).setUint16(2, result)
    expect(code(() => decodeMappingReply(header, web))).toBe(expected)
  })

  it('the decoders throw UNSUPPORTED_VERSION for an answer in PCP', () => {
    const reply = new Uint8Array(24)
    reply.set([2, 0x81, 0, 1])
    expect(code(() => decodeExternalAddressReply(reply))).toBe('UNSUPPORTED_VERSION')
  })

  it('the decoders throw MALFORMED_REPLY for every length that is too short', () => {
    const whole = bytes('0082 0000 00000e10 1f90 2382 00000e10')
    for (let length = 0; length < whole.length; length++) {
      expect(code(() => decodeMappingReply(whole.subarray(0, length), web))).toBe('MALFORMED_REPLY')
    }
  })

  it.each([1101, 65_507])('the decoders throw MALFORMED_REPLY for %i bytes', (length) => {
    expect(code(() => decodeExternalAddressReply(new Uint8Array(length).fill(0x80)))).toBe('MALFORMED_REPLY')
  })

  it('the decoders return a value, return undefined or throw a NatError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (data) => {
        for (const decode of [decodeExternalAddressReply, (each: Uint8Array) => decodeMappingReply(each, web)]) {
          const outcome = code(() => decode(data))
          expect(outcome === undefined || typeof outcome === 'object' || typeof outcome === 'string').toBe(true)
          expect(outcome).not.toBeInstanceOf(Error)
        }
      })
    )
  })
})
