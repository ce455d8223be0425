import { describe, expect, it } from 'vitest'
import { errorCodes, isNatError, natError } from '../src/index.js'

describe('natError', () => {
  it('natError creates an Error with code, cause and retryAfterMs', () => {
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

  it('natError omits details that were not given', () => {
    const error = natError('REFUSED', 'no')
    expect('retryAfterMs' in error).toBe(false)
    expect('cause' in error).toBe(false)
  })
})

describe('isNatError', () => {
  it('isNatError accepts an error of another copy of the package by its code', () => {
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
  ])('isNatError rejects %s', (value) => {
    expect(isNatError(value)).toBe(false)
  })
})

describe('the registry', () => {
  it('errorCodes has a meaning and an advice in sentences for each code', () => {
    for (const [code, { meaning, advice }] of Object.entries(errorCodes)) {
      expect(code).toMatch(/^[A-Z][A-Z_]+$/)
      expect(meaning).toMatch(/^[A-Z].*\.$/)
      expect(advice).toMatch(/^[A-Z].*\.$/)
    }
  })
})
