import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  expiresAtMs,
  type LeaseAction,
  type LeaseTiming,
  nextAction,
  recheckRequested,
  requestFailed,
  requestSent,
  startTiming
} from '../../src/lease/lease-timing.js'
import { minSpacingMs } from '../../src/lease/renewal-schedule.js'

const hour = 3_600_000
const minute = 60_000
const start = { monotonicMs: 0, wallMs: 0 }
const at = (ms: number): typeof start => ({ monotonicMs: ms, wallMs: ms })
const never = { pollMs: Number.POSITIVE_INFINITY, lastContactMs: 0 }
const timing = startTiming(hour, start, () => 0)
const failedAt = (before: LeaseTiming, atMs: number, retryAfterMs?: number, sentMs?: number): LeaseTiming =>
  requestFailed(requestSent(before), { atMs, retryAfterMs, sentMs }, () => 0)

describe('the timing of a lease', () => {
  const rows: readonly (readonly [
    string,
    LeaseTiming,
    number,
    { pollMs: number; lastContactMs: number },
    LeaseAction
  ])[] = [
    ['waits for half of the lifetime', timing, 0, never, { kind: 'wait', ms: hour / 2 }],
    ['renews at half of the lifetime', timing, hour / 2, never, { kind: 'renew' }],
    ['expires at the end of the lifetime', timing, hour, never, { kind: 'expire' }],
    [
      'polls after the interval since the grant',
      timing,
      10 * minute,
      { pollMs: 10 * minute, lastContactMs: 0 },
      { kind: 'poll' }
    ],
    [
      'counts a contact for another lease as a poll',
      timing,
      10 * minute,
      { pollMs: 10 * minute, lastContactMs: 3 * minute },
      { kind: 'wait', ms: 3 * minute }
    ],
    [
      'polls again 4 s after a poll failed, and the schedule stays',
      failedAt(timing, minute),
      minute,
      { pollMs: 10 * minute, lastContactMs: 0 },
      { kind: 'wait', ms: minSpacingMs }
    ],
    [
      'honours the retry-after of a refusal',
      failedAt(timing, minute, 5 * minute),
      minute + minSpacingMs,
      { pollMs: 10 * minute, lastContactMs: 0 },
      { kind: 'wait', ms: 5 * minute - minSpacingMs }
    ],
    [
      'rechecks no sooner than 4 s after the grant',
      recheckRequested(timing, true),
      1000,
      never,
      { kind: 'wait', ms: minSpacingMs - 1000 }
    ],
    ['rechecks 4 s after the grant', recheckRequested(timing, true), minSpacingMs, never, { kind: 'poll' }],
    [
      'rechecks a forgotten lease in spite of a retry-after',
      recheckRequested(failedAt(timing, minute, 5 * minute), true),
      minute + minSpacingMs,
      never,
      { kind: 'poll' }
    ]
  ]
  it.each(rows)('nextAction %s', (_name, state, now, inputs, action) => {
    expect(nextAction(state, at(now), inputs)).toEqual(action)
  })

  it('a failed scheduled renewal is tried again at three quarters of the lifetime', () => {
    const failed = failedAt(timing, hour / 2 + 1000, undefined, hour / 2)
    const due = nextAction(failed, at(hour / 2 + 1000), { pollMs: Number.POSITIVE_INFINITY, lastContactMs: 0 })
    // The poll delay after a first failure is the spacing.
    expect(due).toEqual({ kind: 'wait', ms: minSpacingMs })
    expect(nextAction(failed, at(hour * 0.75), never)).toEqual({ kind: 'renew' })
  })

  it('a lease expires by the wall clock after the machine slept', () => {
    expect(nextAction(timing, { monotonicMs: 1000, wallMs: hour }, never)).toEqual({ kind: 'expire' })
  })

  it('for any history, requests keep 4 s between each other, none is sent after the expiry, and waiting ends', () => {
    const event = fc.record({
      takesMs: fc.integer({ min: 0, max: 20_000 }),
      retryAfterMs: fc.option(fc.integer({ min: 0, max: 600_000 }), { nil: undefined }),
      recheck: fc.boolean(),
      isForgotten: fc.boolean()
    })
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 86_400_000 }),
        fc.integer({ min: 1000, max: 3_600_000 }),
        fc.array(event, { minLength: 1, maxLength: 60 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (lifetimeMs, pollMs, events, jitter) => {
          const random = (): number => jitter
          let state = startTiming(lifetimeMs, start, random)
          let now = 0
          let lastMs = 0
          for (const { takesMs, retryAfterMs, recheck, isForgotten } of events) {
            if (recheck) state = recheckRequested(state, isForgotten)
            let action = nextAction(state, at(now), { pollMs, lastContactMs: 0 })
            if (action.kind === 'wait') {
              expect(action.ms).toBeGreaterThan(0)
              now += action.ms
              action = nextAction(state, at(now), { pollMs, lastContactMs: 0 })
            }
            // What was waited for is due now.
            expect(action.kind).not.toBe('wait')
            if (action.kind === 'expire') {
              expect(now).toBeGreaterThanOrEqual(expiresAtMs(state))
              return
            }
            expect(now).toBeLessThan(expiresAtMs(state))
            expect(now - lastMs).toBeGreaterThanOrEqual(minSpacingMs)
            const sentMs = action.kind === 'renew' ? now : undefined
            now += takesMs
            lastMs = now
            state = requestFailed(requestSent(state), { atMs: now, retryAfterMs, sentMs }, random)
          }
        }
      )
    )
  })
})
