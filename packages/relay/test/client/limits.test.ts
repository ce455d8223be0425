import { describe, expect, it } from 'vitest'
import { limitsOf } from '../../src/client/limits.js'

describe('limitsOf', () => {
  const go = 'github.com/libp2p/go-libp2p@0.48.0'
  const js = 'js-libp2p/3.3.11 node/24'
  it.each([
    ['seconds from a relay in Go', 120, 131_072, go, { durationMs: 120_000, bytes: 131_072 }],
    ['milliseconds from a relay in JavaScript', 120_000, 131_072, js, { durationMs: 120_000, bytes: 131_072 }],
    ['seconds from a corrected relay in JavaScript', 120, 131_072, js, { durationMs: 120_000, bytes: 131_072 }],
    ['milliseconds from a relay with another agent', 120_000, 0, 'mine', { durationMs: 120_000 }],
    ['a duration of one day', 86_400, 0, go, { durationMs: 86_400_000 }],
    ['a limit of bytes only', 0, 1000, undefined, { bytes: 1000 }],
    ['a limit of the duration only', 60, undefined, undefined, { durationMs: 60_000 }],
    ['zeros as no limits', 0, 0, go, undefined],
    ['missing values as no limits', undefined, undefined, js, undefined]
  ])('limitsOf reads %s', (_, duration, data, agent, expected) => {
    expect(limitsOf({ duration, data }, agent)).toEqual(expected)
  })

  it('limitsOf returns undefined without limits', () => expect(limitsOf(undefined, js)).toBeUndefined())
})
