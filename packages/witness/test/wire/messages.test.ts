import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeRefusal, decodeReply, decodeRequest, encodeRequest } from '../../src/wire/messages.js'

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const nonce = Uint8Array.from({ length: 12 }, (_, index) => index)

/** The request of docs/reference/witness-protocol.md. */
const request = {
  protocol: 'tcp',
  address: '203.0.113.7',
  port: 4001,
  nonce: '000102030405060708090a0b',
  holdMs: 0
}
const reply = {
  outcome: 'connected',
  address: '203.0.113.7',
  port: 4001,
  from: { address: '198.51.100.9', port: 51_234 }
}

describe('a request', () => {
  it('encodeRequest writes the request of the documentation, and decodeRequest reads it', () => {
    const asked = { protocol: 'tcp', address: '203.0.113.7', port: 4001, nonce, holdMs: 0 } as const
    expect(JSON.parse(encodeRequest(asked))).toEqual(request)
    expect(decodeRequest(bytes(request))).toEqual(asked)
  })

  it('decodeRequest ignores unknown members, and takes a missing holdMs for 0', () => {
    expect(decodeRequest(bytes({ ...request, holdMs: undefined, more: {} }))).toMatchObject({ holdMs: 0 })
  })

  it.each<[string, unknown]>([
    ['another protocol', { ...request, protocol: 'sctp' }],
    ['a name in place of an address', { ...request, address: 'example.org' }],
    ['an address with a zone', { ...request, address: 'fe80::1%eth0' }],
    ['port 0', { ...request, port: 0 }],
    ['port 65536', { ...request, port: 65_536 }],
    ['a port as text', { ...request, port: '4001' }],
    ['a short nonce', { ...request, nonce: '00' }],
    ['a nonce in upper case', { ...request, nonce: '000102030405060708090A0B' }],
    ['a long hold', { ...request, holdMs: 1001 }],
    ['an array', [request]],
    ['null', null]
  ])('decodeRequest returns undefined for %s', (_, value) => {
    expect(decodeRequest(bytes(value))).toBeUndefined()
  })
})

describe('a reply', () => {
  it('decodeReply reads the replies of the documentation', () => {
    expect(decodeReply(bytes(reply))).toEqual(reply)
    expect(decodeReply(bytes({ ...reply, outcome: 'timeout', from: undefined }))).toEqual({
      outcome: 'timeout',
      address: '203.0.113.7',
      port: 4001
    })
  })

  it('decodeReply returns the address in its canonical form', () => {
    const told = { ...reply, address: '::ffff:203.0.113.7', from: { address: '2001:DB8:0::9', port: 1 } }
    expect(decodeReply(bytes(told))).toMatchObject({ address: '203.0.113.7', from: { address: '2001:db8::9' } })
  })

  it.each<[string, unknown]>([
    ['an unknown outcome', { ...reply, outcome: 'perhaps' }],
    ['no place', { ...reply, from: undefined }],
    ['a place without a port', { ...reply, from: { address: '198.51.100.9' } }],
    ['no address', { ...reply, address: undefined }],
    ['text', 'reachable']
  ])('decodeReply throws MALFORMED_REPLY for %s', (_, value) => {
    expect(() => decodeReply(bytes(value))).toThrow(expect.objectContaining({ code: 'MALFORMED_REPLY' }))
  })

  it('decodeRefusal returns printable text for the words of a proxy', () => {
    expect(decodeRefusal(new TextEncoder().encode('<html>502 Bad Gateway</html>'))).toEqual({
      error: 'unknown',
      message: 'it gives no reason'
    })
    expect(decodeRefusal(bytes({ error: 'busy', message: '\u001b[2J', observed: 'x' }))).toEqual({
      error: 'busy',
      message: 'it gives no reason'
    })
  })

  it('the decoders return a value or throw a NatError for any bytes and any JSON', () => {
    const any = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => new TextEncoder().encode(text))
    )
    fc.assert(
      fc.property(any, (body) => {
        decodeRequest(body)
        decodeRefusal(body)
        try {
          decodeReply(body)
        } catch (error) {
          return isNatError(error)
        }
        return true
      })
    )
  })
})
