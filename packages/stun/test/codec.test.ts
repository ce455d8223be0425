import { isNatError } from '@postern/interface'
import { isStunMessage } from '@postern/net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBinding, encodeBindingRequest } from '../src/codec.js'
import { addressBytes, message } from './fake-server.js'

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'))
const id = bytesOf('b7e7a701bc34d686fa87dfae')

/** RFC 5769 §2.1: a request with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY, FINGERPRINT. */
const sampleRequest = bytesOf(`
  00010058 2112a442 b7e7a701bc34d686fa87dfae
  80220010 5354554e207465737420636c69656e74
  00240004 6e0001ff
  80290008 932ff9b151263b36
  00060009 6576746a3a68367659202020
  00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
  80280004 e57a3bcf`)
/** RFC 5769 §2.2: an answer with 192.0.2.1:32853. */
const sampleIpv4 = bytesOf(`
  0101003c 2112a442 b7e7a701bc34d686fa87dfae
  8022000b 7465737420766563746f7220
  00200008 0001a147e112a643
  00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7
  80280004 c07d4c96`)
/** RFC 5769 §2.3: an answer with [2001:db8:1234:5678:11:2233:4455:6677]:32853. */
const sampleIpv6 = bytesOf(`
  01010048 2112a442 b7e7a701bc34d686fa87dfae
  8022000b 7465737420766563746f7220
  00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
  00080014 a382954e4be67bf11784c97c8292c275bfe3ed41
  80280004 c8fb0b4c`)

describe('the samples of RFC 5769', () => {
  it('decodeBinding reads sample 2.1: a request of an ICE agent, with an unknown required attribute', () => {
    expect(decodeBinding(sampleRequest)).toEqual({ kind: 'request', id, unknown: [0x24], software: 'STUN test client' })
  })

  it('decodeBinding reads sample 2.2: an answer with an IPv4 address', () => {
    const mapped = { address: '192.0.2.1', port: 32_853 }
    expect(decodeBinding(sampleIpv4)).toEqual({ kind: 'success', id, unknown: [], software: 'test vector', mapped })
  })

  it('decodeBinding reads sample 2.3: an answer with an IPv6 address', () => {
    const mapped = { address: '2001:db8:1234:5678:11:2233:4455:6677', port: 32_853 }
    expect(decodeBinding(sampleIpv6)).toEqual({ kind: 'success', id, unknown: [], software: 'test vector', mapped })
  })

  it.each([
    ['2.1', sampleRequest],
    ['2.2', sampleIpv4],
    ['2.3', sampleIpv6]
  ])('decodeBinding rejects %s with one changed bit by its fingerprint', (_, sample) => {
    for (let at = 20; at < sample.length - 8; at += 1) {
      const spoiled = sample.slice()
      spoiled[at] = (spoiled[at] ?? 0) ^ 1
      expect(() => decodeBinding(spoiled), `byte ${at}`).toThrow(expect.objectContaining({ code: 'MALFORMED_REPLY' }))
    }
  })
})

describe('an answer of a server from before RFC 5389', () => {
  const plain = (port: number, end: number): string =>
    `0001${port.toString(16).padStart(4, '0')}c00002${end.toString(16).padStart(2, '0')}`
  const answer = (attributes: string): Uint8Array =>
    bytesOf(
      `0101${(attributes.length / 2).toString(16).padStart(4, '0')}2112a442${Buffer.from(id).toString('hex')}${attributes}`
    )
  const attribute = (type: string, value: string): string => `${type}0008${value}`

  it('decodeBinding reads all attributes of RFC 3489', () => {
    const all = ['0001', '0002', '0004', '0005', '000b'].map((type, end) => attribute(type, plain(1000 + end, end)))
    expect(decodeBinding(answer(all.join('')))).toEqual({
      kind: 'success',
      id,
      unknown: [],
      mapped: { address: '192.0.2.0', port: 1000 },
      origin: { address: '192.0.2.2', port: 1002 },
      other: { address: '192.0.2.3', port: 1003 }
    })
  })

  it('decodeBinding reads XOR-MAPPED-ADDRESS by its number in the drafts', () => {
    const mapped = { address: '192.0.2.1', port: 32_853 }
    expect(decodeBinding(answer(attribute('8020', '0001a147e112a643')))).toMatchObject({ unknown: [], mapped })
  })
})

describe('a request', () => {
  it('encodeBindingRequest returns a header and a fingerprint', () => {
    const bytes = encodeBindingRequest({ id })
    expect(Buffer.from(bytes).toString('hex')).toBe(
      `000100082112a442${Buffer.from(id).toString('hex')}80280004fdf6ae02`
    )
    expect(decodeBinding(bytes)).toEqual({ kind: 'request', id, unknown: [] })
  })

  it('encodeBindingRequest encodes CHANGE-REQUEST and RESPONSE-PORT of RFC 5780', () => {
    const body = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(20, -8)).toString('hex')
    expect(body(encodeBindingRequest({ id, change: { ip: true, port: true } }))).toBe('0003000400000006')
    expect(body(encodeBindingRequest({ id, change: { ip: false, port: true } }))).toBe('0003000400000002')
    expect(body(encodeBindingRequest({ id, responsePort: 40_000 }))).toBe('002700049c400000')
  })
})

describe('an answer', () => {
  const [one, two] = [
    { address: '11.0.0.2', port: 1 },
    { address: '11.0.0.3', port: 2 }
  ]
  const xored = (address: typeof one): Uint8Array =>
    addressBytes(address, Uint8Array.from([0x21, 0x12, 0xa4, 0x42, ...id]))

  it('decodeBinding reads MAPPED-ADDRESS of an old server', () => {
    expect(decodeBinding(message(0x101, id, [[1, addressBytes(one)]]))?.mapped).toEqual(one)
  })

  it('decodeBinding uses the first attribute of a type, and the XORed address before the plain one', () => {
    const plain = [1, addressBytes(two)] as const
    expect(decodeBinding(message(0x101, id, [plain, [0x20, xored(one)], [0x20, xored(two)]]))?.mapped).toEqual(one)
  })

  it('decodeBinding ignores unprotected attributes after MESSAGE-INTEGRITY', () => {
    const seal = [8, new Uint8Array(20)] as const
    expect(decodeBinding(message(0x101, id, [seal, [0x20, xored(one)]]))?.mapped).toBeUndefined()
  })

  it('decodeBinding reads an error with its unknown attributes', () => {
    const error = message(0x111, id, [
      [9, Uint8Array.of(0, 0, 4, 20)],
      [0x0a, Uint8Array.of(0, 3, 0, 0x27)]
    ])
    expect(decodeBinding(error)).toMatchObject({ kind: 'error', errorCode: 420, notUnderstood: [3, 0x27] })
  })

  it('decodeBinding shortens SOFTWARE to printable ASCII', () => {
    const text = Uint8Array.from({ length: 700 }, (_, at) => at % 256)
    expect(decodeBinding(message(0x101, id, [[0x8022, text]]))?.software).toMatch(/^[\x20-\x7e]{64}$/)
  })

  it.each([
    ['an address of no family', [0x20, Uint8Array.of(0, 3, 0, 0, 1, 2, 3, 4)]],
    ['an address that is too short', [0x20, Uint8Array.of(0, 1, 0, 0, 1, 2, 3)]],
    ['an IPv4 address in the length of an IPv6 one', [0x20, Uint8Array.of(0, 1, ...new Uint8Array(18))]],
    ['an error code that does not exist', [9, Uint8Array.of(0, 0, 7, 0)]],
    ['an error code that is cut off', [9, Uint8Array.of(0, 0, 4)]],
    ['a fingerprint that is too short', [0x8028, Uint8Array.of(1, 2)]]
  ] as const)('with %s is malformed', (_, attribute) => {
    expect(() => decodeBinding(message(0x101, id, [attribute]))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_REPLY' })
    )
  })

  it('decodeBinding rejects a thousand attributes and excessive sizes', () => {
    const many = Array.from({ length: 300 }, () => [0x9999, new Uint8Array(0)] as const)
    expect(() => decodeBinding(message(0x101, id, many))).toThrow(expect.objectContaining({ code: 'MALFORMED_REPLY' }))
    expect(() => decodeBinding(message(0x101, id, [[0x9999, new Uint8Array(4000)]]))).toThrow(
      expect.objectContaining({ code: 'REPLY_TOO_LARGE' })
    )
  })
})

describe('any bytes', () => {
  const decode = (bytes: Uint8Array): void => {
    try {
      decodeBinding(bytes)
    } catch (error) {
      expect(isNatError(error)).toBe(true)
    }
  }

  it('decodeBinding returns a value or throws a NatError for any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decode), { numRuns: 2000 })
  })

  it('decodeBinding returns a value or throws a NatError for any bytes after a valid header', () => {
    const attribute = fc.tuple(
      fc.oneof(fc.constantFrom(1, 3, 6, 8, 9, 10, 0x20, 0x26, 0x27, 0x8022, 0x8028, 0x802b, 0x802c), fc.nat(65_535)),
      fc.uint8Array({ maxLength: 24 })
    )
    const type = fc.constantFrom(1, 0x11, 0x101, 0x111, 3)
    const cut = fc.nat(8)
    fc.assert(
      fc.property(type, fc.array(attribute, { maxLength: 8 }), cut, (kind, attributes, less) => {
        const bytes = message(kind, id, attributes)
        decode(bytes)
        const short = bytes.slice(0, bytes.length - less)
        if (short.length >= 4) new DataView(short.buffer).setUint16(2, Math.max(0, short.length - 20))
        decode(short)
      }),
      { numRuns: 3000 }
    )
  })

  it('isStunMessage is false for datagrams of other protocols', () => {
    expect(isStunMessage(new TextEncoder().encode('a datagram of the game, longer than a header'))).toBe(false)
    expect(isStunMessage(sampleIpv4)).toBe(true)
    expect(isStunMessage(sampleIpv4.subarray(0, 40))).toBe(false)
    // RTP (RFC 7983): the first two bits are not zero.
    expect(isStunMessage(Uint8Array.from(sampleIpv4, (byte, at) => (at === 0 ? byte | 0x80 : byte)))).toBe(false)
  })
})
