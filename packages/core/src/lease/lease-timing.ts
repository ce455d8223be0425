import { minSpacingMs, renewalMs } from './renewal-schedule.js'
import type { Stamp } from './stamp.js'

/** When a lease was granted and what has been tried since. Times are monotonic ms. Immutable: each event gives the next
 * state. */
export interface LeaseTiming {
  readonly lifetimeMs: number
  /** When the grant came, by both clocks. */
  readonly granted: Stamp
  /** When the schedule of RFC 6887 §11.2.1 renews next, in ms after the grant; undefined for never. */
  readonly scheduledMs: number | undefined
  /** How many scheduled renewals have failed since the grant. */
  readonly attempts: number
  /** How many requests of any kind have failed in a row. */
  readonly failures: number
  /** When the last request failed; `-Infinity` if none has. */
  readonly failedMs: number
  /** When the gateway allows the next request after a failure. */
  readonly restsUntilMs: number
  /** When to poll because a check was requested; `Infinity` if none was. */
  readonly recheckAtMs: number
}

/** What the timing of a lease depends on besides its own history. */
export interface TimingInputs {
  /** How often to poll when no renewal is due, in ms; `Infinity` for never. */
  readonly pollMs: number
  /** When the gateway was last asked for any lease of this strategy (monotonic ms). That counts as a poll of this one. */
  readonly lastContactMs: number
}

/** `renew`: the schedule wants a renewal. `poll`: renew ahead of the schedule, to see whether the gateway still has the
 * lease. `expire`: its time is over. `wait`: nothing is due for this long, in ms. */
export type LeaseAction =
  | { readonly kind: 'renew' | 'poll' | 'expire' }
  | { readonly kind: 'wait'; readonly ms: number }

/** Returns the timing of a lease that has just been granted. */
export const startTiming = (lifetimeMs: number, granted: Stamp, random: () => number): LeaseTiming => ({
  lifetimeMs,
  granted,
  scheduledMs: renewalMs(lifetimeMs, 0, undefined, random),
  attempts: 0,
  failures: 0,
  failedMs: Number.NEGATIVE_INFINITY,
  restsUntilMs: 0,
  recheckAtMs: Number.POSITIVE_INFINITY
})

/** Returns what is to be done with the lease now. */
export function nextAction(timing: LeaseTiming, now: Stamp, inputs: TimingInputs): LeaseAction {
  if (elapsedOf(timing, now) >= timing.lifetimeMs) return { kind: 'expire' }
  const renewAtMs = renewalAtMs(timing)
  if (now.monotonicMs >= renewAtMs) return { kind: 'renew' }
  const pollAtMs = Math.min(Math.max(pollDueMs(timing, inputs), notBeforeMs(timing)), timing.recheckAtMs)
  if (now.monotonicMs >= pollAtMs) return { kind: 'poll' }
  return { kind: 'wait', ms: Math.min(renewAtMs, pollAtMs, expiresAtMs(timing)) - now.monotonicMs }
}

/**
 * Returns the timing after a check was requested: poll as soon as the spacing allows.
 *
 * One restart is reported more than once, by each protocol of the router for example, so a lease that was granted a moment
 * ago is not renewed again at once. An attempt that has just failed may have been carried out all the same.
 *
 * @param isForgotten - whether the gateway has lost the lease; its retry-after does not count then
 */
export function recheckRequested(timing: LeaseTiming, isForgotten: boolean): LeaseTiming {
  const spacedMs = spacedAtMs(timing)
  return { ...timing, recheckAtMs: isForgotten ? spacedMs : Math.max(spacedMs, timing.restsUntilMs) }
}

/** Returns the timing once a request has left: it answers a requested check. */
export const requestSent = (timing: LeaseTiming): LeaseTiming => ({
  ...timing,
  recheckAtMs: Number.POSITIVE_INFINITY
})

/**
 * Returns the timing after a request failed.
 *
 * Only a scheduled renewal advances the schedule; otherwise failed polls would postpone what is due.
 *
 * @param sentMs - when the request was sent, if the schedule wanted it; undefined for a poll
 */
export function requestFailed(
  timing: LeaseTiming,
  failure: { readonly atMs: number; readonly retryAfterMs: number | undefined; readonly sentMs: number | undefined },
  random: () => number
): LeaseTiming {
  const { atMs, retryAfterMs = 0, sentMs } = failure
  const failed = { ...timing, failures: timing.failures + 1, failedMs: atMs, restsUntilMs: atMs + retryAfterMs }
  if (sentMs === undefined) return failed
  const attempts = timing.attempts + 1
  const sinceGrantMs = sentMs - timing.granted.monotonicMs
  return { ...failed, attempts, scheduledMs: renewalMs(timing.lifetimeMs, attempts, sinceGrantMs, random) }
}

/** Returns when the lease expires (monotonic ms). */
export const expiresAtMs = ({ granted, lifetimeMs }: LeaseTiming): number => granted.monotonicMs + lifetimeMs

const spacedAtMs = ({ granted, failedMs }: LeaseTiming): number =>
  Math.max(granted.monotonicMs, failedMs) + minSpacingMs

/** The earliest time for the next request without a requested check. */
const notBeforeMs = (timing: LeaseTiming): number => Math.max(spacedAtMs(timing), timing.restsUntilMs)

const renewalAtMs = (timing: LeaseTiming): number =>
  timing.scheduledMs === undefined
    ? Number.POSITIVE_INFINITY
    : Math.max(timing.granted.monotonicMs + timing.scheduledMs, notBeforeMs(timing))

/** After a failure the next poll comes sooner, with a delay that doubles up to the interval. */
const pollDueMs = ({ granted, failures, failedMs }: LeaseTiming, { pollMs, lastContactMs }: TimingInputs): number =>
  failures > 0
    ? failedMs + Math.min(pollMs, minSpacingMs * 2 ** (failures - 1))
    : Math.max(granted.monotonicMs, lastContactMs) + pollMs

/** The wall clock and the router's clock run on while the machine sleeps, so the clock that saw more time counts. */
const elapsedOf = ({ granted }: LeaseTiming, now: Stamp): number =>
  Math.max(now.monotonicMs - granted.monotonicMs, now.wallMs - granted.wallMs)
