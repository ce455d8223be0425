import { isNatError } from '@postern/interface'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeServerMessage,
  encodeAccept,
  encodeAnswer,
  encodeHello,
  maxFrameBytes,
  type ServerMessage,
  takeFrame
} from '../src/codec.js'

const id = '00010203-0405-4607-8809-0a0b0c0d0e0f'
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const caught = (work: () => unknown): unknown => {
  try {
    return work()
  } catch (error) {
    return error
  }
}

describe('what this host sends', () => {
  it('is the JSON of bore with a zero byte at its end', () => {
    expect(encodeHello(0).toString()).toBe('{"Hello":0}\0')
    expect(encodeHello(8080).toString()).toBe('{"Hello":8080}\0')
    expect(encodeAccept(id).toString()).toBe(`{"Accept":"${id}"}\0`)
  })

  it('answers a challenge with the HMAC of its bytes', () => {
    // Computed with the hashlib and hmac of Python.
    const tag = '9c111f81a2f6aa27be596356c5a58df1fd876455851141841c131ffdcff5c37f'
    expect(encodeAnswer(id, 'secret').toString()).toBe(`{"Authenticate":"${tag}"}\0`)
  })
})

describe('decodeServerMessage', () => {
  it.each<readonly [string, ServerMessage]>([
    ['"Heartbeat"', { kind: 'heartbeat' }],
    ['{"Hello":7001}', { kind: 'hello', port: 7001 }],
    [`{"Challenge":"${id}"}`, { kind: 'challenge', id }],
    [`{"Connection":"${id}"}`, { kind: 'connection', id }],
    ['{"Error":"invalid secret"}', { kind: 'error', text: 'invalid secret' }]
  ])('decodes %s', (text, message) => {
    expect(decodeServerMessage(bytes(text))).toEqual(message)
  })

  it.each([
    '',
    'null',
    '[]',
    '"heartbeat"',
    '{}',
    '{"Hello":0}',
    '{"Hello":65536}',
    '{"Hello":7001.5}',
    '{"Hello":"7001"}',
    '{"Hello":7001,"Error":"no"}',
    '{"Challenge":"00010203"}',
    `{"Connection":["${id}"]}`,
    `{"Connection":"${id}0"}`,
    '{"Error":{}}',
    '{"__proto__":7001}',
    '\xff\xff'
  ])('rejects %j with MALFORMED_REPLY', (text) => {
    expect(caught(() => decodeServerMessage(bytes(text)))).toMatchObject({ code: 'MALFORMED_REPLY' })
  })

  it('returns a message or throws a NatError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: maxFrameBytes }), (frame) => {
        const result = caught(() => decodeServerMessage(frame))
        expect(isNatError(result) || (typeof result === 'object' && result !== null && 'kind' in result)).toBe(true)
      })
    )
  })
})

describe('takeFrame', () => {
  it('returns the first frame and the bytes after it, however many', () => {
    const rest = `two\0${'x'.repeat(maxFrameBytes * 2)}`
    const taken = takeFrame(bytes(`one\0${rest}`))
    expect([String(taken?.frame), String(taken?.rest)]).toEqual(['one', rest])
  })

  it.each(['', 'one', 'x'.repeat(maxFrameBytes)])('returns nothing before the end of %j has arrived', (text) => {
    expect(takeFrame(bytes(text))).toBe(undefined)
    expect(String(takeFrame(bytes(`${text}\0`))?.frame)).toBe(text)
  })

  it.each(['', '\0'])('rejects 257 bytes and %j with REPLY_TOO_LARGE', (end) => {
    expect(caught(() => takeFrame(bytes('x'.repeat(maxFrameBytes + 1) + end)))).toMatchObject({
      code: 'REPLY_TOO_LARGE'
    })
  })
})
