import { describe, expect, it } from 'vitest'
import { errorCodes, isNatError, natError } from '../src/index.js'

describe('natError', () => {
  it('makes an Error that carries code, cause and the wait that was asked for', () => {
    const cause = new Error('below')
    const error = natError('QUOTA_EXCEEDED', 'too many', { cause, retryAfterMs: 30_000 })
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      name: 'NatError',
      code: 'QUOTA_EXCEEDED',
      message: 'too many',
      cause,
      retryAfterMs: 30_000
    })
  })

  it('leaves out what it was not given', () => {
    const error = natError('REFUSED', 'no')
    expect('retryAfterMs' in error).toBe(false)
    expect('cause' in error).toBe(false)
  })
})

describe('isNatError', () => {
  it('goes by the code, so that an error of another copy of the package counts', () => {
    expect(isNatError(Object.assign(new Error('x'), { code: 'REFUSED' }))).toBe(true)
  })

  it.each([
    undefined,
    null,
    'REFUSED',
    { code: 'REFUSED' },
    new Error('x'),
    Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
    Object.assign(new Error('x'), { code: 'toString' })
  ])('does not take %s for one', (value) => {
    expect(isNatError(value)).toBe(false)
  })
})

describe('the registry', () => {
  it('says of each code what it means and what to do, in sentences', () => {
    for (const [code, { meaning, advice }] of Object.entries(errorCodes)) {
      expect(code).toMatch(/^[A-Z][A-Z_]+$/)
      expect(meaning).toMatch(/^[A-Z].*\.$/)
      expect(advice).toMatch(/^[A-Z].*\.$/)
    }
  })
})
