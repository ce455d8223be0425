import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { minSpacingMs, renewalMs } from '../../src/lease/renewal-schedule.js'

const hour = 3_600_000

describe('the renewal schedule (RFC 6887 §11.2.1)', () => {
  it.each([
    [0, 1 / 2, 5 / 8],
    [1, 3 / 4, 13 / 16],
    [2, 7 / 8, 29 / 32]
  ])('renewalMs puts attempt %i into its window', (attempt, from, to) => {
    expect(renewalMs(hour, attempt, undefined, () => 0)).toBe(from * hour)
    expect(renewalMs(hour, attempt, undefined, () => 1)).toBe(to * hour)
  })

  it('renewalMs keeps 4 s between two attempts and sends none after the lease has expired', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 86_400_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (lifetimeMs, jitter) => {
          let sentMs: number | undefined
          for (let attempt = 0; attempt < 40; attempt++) {
            const at = renewalMs(lifetimeMs, attempt, sentMs, () => jitter)
            if (at === undefined) return
            expect(at).toBeLessThan(lifetimeMs)
            if (sentMs !== undefined) expect(at).toBeGreaterThanOrEqual(sentMs + minSpacingMs)
            sentMs = at
          }
        }
      )
    )
  })

  it('renewalMs returns undefined for a lease that never expires', () => {
    expect(renewalMs(Number.POSITIVE_INFINITY, 0, undefined, () => 0)).toBeUndefined()
  })
})
