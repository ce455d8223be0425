import { describe, expect, it } from 'vitest'
import { errorText } from '../src/index.js'

describe('errorText', () => {
  it.each<[string, unknown]>([
    ['what it says', new Error('what it says')],
    ['::1 refused; 127.0.0.1 refused', new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')])],
    ['refused', new AggregateError([new AggregateError([new Error('refused')]), new Error('refused')])],
    ['ECONNREFUSED', Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' })],
    ['ENOTFOUND', Object.assign(new Error('  '), { code: 'ENOTFOUND' })],
    ['TypeError', new TypeError()],
    ['text', 'text'],
    ['no reason was given', ''],
    ['undefined', undefined]
  ])('errorText returns "%s"', (text, error) => {
    expect(errorText(error)).toBe(text)
  })

  it('errorText terminates for an error that contains itself', () => {
    const error = new AggregateError([])
    error.errors.push(error)
    expect(errorText(error)).toBe('AggregateError')
  })
})
