import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isMultiaddrText, isPrintable, natError, printable } from '../src/index.js'

/** Lists the code points explicitly, unlike the expression under test. */
const isHarmful = (text: string): boolean =>
  Array.from(text).some((char) => {
    const code = char.codePointAt(0) ?? 0
    return (
      code < 0x20 ||
      (code >= 0x7f && code < 0xa0) ||
      code === 0xad ||
      code === 0x34f ||
      code === 0x61c ||
      (code >= 0x200b && code <= 0x200f) ||
      (code >= 0x2028 && code <= 0x202e) ||
      (code >= 0x2060 && code <= 0x206f) ||
      (code >= 0xd800 && code <= 0xf8ff) ||
      (code >= 0xfe00 && code <= 0xfe0f) ||
      code === 0xfeff ||
      (code >= 0xfff0 && code <= 0xfffb) ||
      (code >= 0xe0000 && code <= 0xe0fff)
    )
  })

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units))
)

describe('printable()', () => {
  it.each([
    ['an operating system command', '\u001b]0;owned\u0007', '\\u001b]0;owned\\u0007'],
    ['a clear screen', 'x\u001b[2J', 'x\\u001b[2J'],
    ['a C1 control sequence introducer', '\u009b2J', '\\u009b2J'],
    ['a carriage return that overwrites the line', 'private\rpublic', 'private\\u000dpublic'],
    ['a line feed that begins a line of its own', 'no\nverdict: public', 'no\\u000averdict: public'],
    ['a bell and a delete', '\u0007\u007f', '\\u0007\\u007f'],
    ['a right-to-left override', 'a\u202eb', 'a\\u202eb'],
    ['bidi isolates and marks', '\u2066\u2069\u200e\u200f\u061c', '\\u2066\\u2069\\u200e\\u200f\\u061c'],
    ['line and paragraph separators', '\u2028\u2029', '\\u2028\\u2029'],
    ['zero-width characters', '\u200b\ufeff\u2060', '\\u200b\\ufeff\\u2060'],
    ['a lone surrogate', 'a\ud800b', 'a\\ud800b'],
    ['a tag', '\u{e0041}', '\\udb40\\udc41']
  ])('printable escapes %s', (_, text, expected) => {
    expect(printable(text)).toBe(expected)
    expect(isPrintable(text)).toBe(false)
  })

  it.each(['FRITZ!Box 7590', 'Müllers Router – 1 Gbit/s', 'ルーター', '🏠 home', '/ip4/11.0.0.1/tcp/80'])(
    'printable does not change %s',
    (text) => expect(printable(text)).toBe(text)
  )

  it('printable removes every harmful character from any text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(isHarmful(printable(text))).toBe(false)
      })
    )
  })

  it('printable is idempotent', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(printable(printable(text))).toBe(printable(text))
      })
    )
  })

  it('printable keeps the meaning of JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        const text = printable(JSON.stringify(value), Number.POSITIVE_INFINITY)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      })
    )
  })

  it('printable cuts text that is longer than the limit and marks the cut', () => {
    expect(printable('x'.repeat(2000))).toBe(`${'x'.repeat(999)}…`)
    expect(printable('abcdef', 3)).toBe('ab…')
    expect(printable('\u0000'.repeat(1000)).length).toBe(1000)
    fc.assert(
      fc.property(anyText, fc.integer({ min: 1, max: 20 }), (text, maxLength) => {
        expect(printable(text, maxLength).length).toBeLessThanOrEqual(maxLength)
      })
    )
  })
})

describe('natError()', () => {
  it('natError makes its message and the chain of its causes printable', () => {
    const below = Object.assign(new Error('below\u001b[2J'), { code: 'E\u0007' })
    const { message, cause } = natError('REFUSED', 'no\u009b', { cause: new TypeError('above', { cause: below }) })
    expect(message).toBe('no\\u009b')
    expect(cause).toMatchObject({ name: 'TypeError', message: 'above' })
    const inner = cause instanceof Error ? cause.cause : undefined
    expect(inner).toMatchObject({ message: 'below\\u001b[2J', code: 'E\\u0007' })
    expect(isPrintable(String(inner instanceof Error && inner.stack).replaceAll('\n', ''))).toBe(true)
    expect(natError('REFUSED', 'no', { cause: '\u001b' }).cause).toBe('\\u001b')
  })
})

describe('isMultiaddrText()', () => {
  it.each(['/unix/\u001b[2J', '/dns4/a\u202eb/tcp/1', '/ip4/1.2.3.4/tcp/1/http-path/\n', `/dns4/${'x'.repeat(600)}`])(
    'isMultiaddrText rejects an address that cannot be shown: %j',
    (text) => expect(isMultiaddrText(text)).toBe(false)
  )
})
