import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeAddress, encodeAddress } from '../src/address-bytes.js'
import {
  decodeAnnounceReply,
  decodeMappingReply,
  encodeAnnounceRequest,
  encodeMappingRequest,
  type MappingRequest
} from '../src/codec.js'
import { hex, text } from './helpers.js'

const asked: MappingRequest = {
  protocol: 'tcp',
  internalPort: 8080,
  nonce: hex('0102030405060708090a0b0c'),
  suggestedExternalPort: 9000,
  suggestedExternalAddress: '0.0.0.0',
  lifetimeSeconds: 7200
}

/** An answer, field by field (RFC 6887 §7.2 and §11.1). */
const mapReply = (change: Record<string, string> = {}): Uint8Array => {
  const fields = {
    version: '02',
    opcode: '81',
    reserved: '00',
    result: '00',
    lifetime: '00001c20',
    epoch: '00000e10',
    reservedToo: '000000000000000000000000',
    nonce: '0102030405060708090a0b0c',
    protocol: '06',
    reservedThree: '000000',
    internalPort: '1f90',
    externalPort: '2328',
    externalAddress: '0000 0000 0000 0000 0000 ffff cb00 7109',
    options: '',
    ...change
  }
  return hex(Object.values(fields).join(''))
}

/** Returns the result of a decoder, or the code of the error that it throws. */
const outcome = (decode: () => unknown): unknown => {
  try {
    return decode()
  } catch (error) {
    return isNatError(error) ? error.code : error
  }
}
const map = (bytes: Uint8Array): unknown => outcome(() => decodeMappingReply(bytes, asked))
const announce = (bytes: Uint8Array): unknown => outcome(() => decodeAnnounceReply(bytes))

test('encodeAnnounceRequest encodes ANNOUNCE as in RFC 6887 §7.1', () => {
  expect(text(encodeAnnounceRequest('192.168.1.10'))).toBe(
    text(
      hex(
        [
          '02 00 0000', // version, R and opcode, reserved
          '00000000', // requested lifetime
          '00000000000000000000ffff c0a8010a' // client address
        ].join('')
      )
    )
  )
})

test('encodeMappingRequest encodes MAP for IPv4 as in RFC 6887 §11.1', () => {
  expect(text(encodeMappingRequest(asked, '192.168.1.10'))).toBe(
    text(
      hex(
        [
          '02 01 0000', // version, R and opcode, reserved
          '00001c20', // requested lifetime: 7200 s
          '00000000000000000000ffff c0a8010a', // client address
          '0102030405060708090a0b0c', // mapping nonce
          '06 000000', // protocol, reserved
          '1f90 2328', // internal port, suggested external port
          '00000000000000000000ffff 00000000' // suggested external address: any IPv4
        ].join('')
      )
    )
  )
})

test('encodeMappingRequest encodes MAP for IPv6 as in RFC 6887 §11.1', () => {
  const pinhole: MappingRequest = { ...asked, protocol: 'udp', suggestedExternalAddress: '::' }
  expect(text(encodeMappingRequest(pinhole, '2a00:1::10%eth0'))).toBe(
    text(
      hex(
        [
          '02 01 0000 00001c20',
          '2a000001 00000000 00000000 00000010',
          '0102030405060708090a0b0c',
          '11 000000 1f90 2328',
          '00000000000000000000000000000000'
        ].join('')
      )
    )
  )
})

test('decodeAnnounceReply decodes an answer to ANNOUNCE', () => {
  expect(announce(hex('02 80 00 00 00000000 00000e10 000000000000000000000000'))).toEqual({
    result: 0,
    lifetimeSeconds: 0,
    epochSeconds: 3600
  })
})

test('decodeMappingReply decodes an answer to MAP', () => {
  expect(map(mapReply())).toEqual({
    result: 0,
    lifetimeSeconds: 7200,
    epochSeconds: 3600,
    externalPort: 9000,
    externalAddress: '203.0.113.9'
  })
  expect(map(mapReply({ externalAddress: '2a00 0001 0000 0000 0000 0000 0000 0010' }))).toMatchObject({
    externalAddress: '2a00:1::10'
  })
})

test('decodeMappingReply ignores the options of an answer', () => {
  expect(map(mapReply({ options: '02 00 0000' }))).toMatchObject({ externalPort: 9000 })
})

test.each([
  ['nonce', 'ff02030405060708090a0b0c'],
  ['nonce', '0102030405060708090a0bff'],
  ['protocol', '11'],
  ['internalPort', '1f91'],
  ['opcode', '82'],
  ['opcode', '80']
])('decodeMappingReply returns undefined for an answer with another %s (%s)', (field, value) => {
  expect(map(mapReply({ [field]: value }))).toBeUndefined()
  expect(map(mapReply({ [field]: value, result: '02' }))).toBeUndefined()
})

test.each([
  ['without the R bit', mapReply({ opcode: '01' })],
  ['of version 3 with success', mapReply({ version: '03' })],
  ['of version 0 with success', hex('00 81 0000 00000e10')],
  ['of 62 bytes', mapReply({ options: '0000' })],
  ['of 1,104 bytes', mapReply({ options: '00'.repeat(1044) })],
  ['of no bytes', hex('')]
])('decodeMappingReply throws MALFORMED_REPLY for an answer %s', (_, bytes) => {
  expect(map(bytes)).toBe('MALFORMED_REPLY')
})

test('decodeMappingReply accepts an answer of 1,100 bytes', () => {
  expect(map(mapReply({ options: '00'.repeat(1040) }))).toMatchObject({ externalPort: 9000 })
})

test('the decoders throw MALFORMED_REPLY for an answer that is cut off anywhere', () => {
  const whole = mapReply()
  const outcomes = Array.from({ length: whole.length }, (_, length) => map(whole.subarray(0, length)))
  expect(new Set(outcomes)).toEqual(new Set(['MALFORMED_REPLY']))
  const announced = whole.subarray(0, 24)
  announced[1] = 0x80
  const short = Array.from({ length: 24 }, (_, length) => announce(announced.subarray(0, length)))
  expect(new Set(short)).toEqual(new Set(['MALFORMED_REPLY']))
})

test('decodeMappingReply accepts an error that is only a header', () => {
  expect(map(mapReply({ result: '03' }).subarray(0, 24))).toEqual({
    result: 3,
    lifetimeSeconds: 7200,
    epochSeconds: 3600,
    externalPort: 0,
    externalAddress: '::'
  })
})

test.each([
  ['NAT-PMP (RFC 6886 §3.5), which is shorter than any PCP answer', '00 00 0001 00000e10'],
  ['NAT-PMP as miniupnpd has it, which repeats the opcode', '00 81 0001 00000e10'],
  ['a later PCP', '03 81 00 01 00000708 00000e10 000000000000000000000000']
])('the decoders recognise %s', (_, bytes) => {
  expect(map(hex(bytes))).toBe('UNSUPPORTED_VERSION')
  expect(announce(hex(bytes))).toBe('UNSUPPORTED_VERSION')
})

test('the decoders return a value, return undefined or throw a NatError for any bytes', () => {
  const header = fc.constantFrom(mapReply(), mapReply({ result: '08' }), mapReply({ version: '00', result: '01' }))
  const noise = fc.record({ base: header, at: fc.nat(59), byte: fc.nat(255), length: fc.nat(64) })
  const almost = noise.map(({ base, at, byte, length }) => base.with(at, byte).slice(0, length))
  const lengths = fc.uint8Array({ maxLength: 1200 })
  fc.assert(
    fc.property(fc.oneof(lengths, almost), (bytes) => {
      for (const seen of [map(bytes), announce(bytes)]) {
        const code = seen === 'MALFORMED_REPLY' || seen === 'UNSUPPORTED_VERSION'
        const value = typeof seen === 'object' && seen !== null && 'result' in seen
        expect(seen === undefined || code || value).toBe(true)
      }
    }),
    { numRuns: 2000 }
  )
})

test.each([
  ['0.0.0.0', '00000000000000000000ffff00000000'],
  ['203.0.113.9', '00000000000000000000ffffcb007109'],
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['fe80::1', 'fe800000000000000000000000000001'],
  ['2001:db8:1:2:3:4:5:6', '20010db8000100020003000400050006'],
  ['2001:db8::', '20010db8000000000000000000000000']
])('encodeAddress and decodeAddress agree on %s', (address, bytes) => {
  expect(text(encodeAddress(address))).toBe(bytes)
  expect(decodeAddress(hex(bytes))).toBe(address)
})

test('decodeAddress reads what encodeAddress wrote for any address', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      const bytes = encodeAddress(address)
      expect(text(encodeAddress(decodeAddress(bytes)))).toBe(text(bytes))
    })
  )
  expect(() => encodeAddress('router.lan')).toThrow(TypeError)
})
