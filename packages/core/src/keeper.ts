import type { CallOptions, Clock, Lease, NatError } from '@postern/interface'
import { asNatError } from './attempt.js'
import type { Bell } from './bell.js'
import { leastSpacingMs, renewalMs } from './renewal.js'

export interface KeepOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly bell: Bell
  /** Renews within the policy's bound. */
  readonly renew: (lease: Lease, call: CallOptions) => Promise<Lease>
  readonly onRenewed: (lease: Lease, before: Lease) => void
  readonly onFailed: (error: NatError) => void
  /** Why the lease is worth nothing any more although its time has not run out; undefined while it is. */
  readonly spoiled: () => NatError | undefined
  /** Whether whoever granted it is known to have forgotten it. A renewal that fails then ends it at once. */
  readonly forgotten: () => boolean
  /** When to ask although no renewal is due, on the monotonic clock; `Infinity` for never. */
  readonly pollAtMs: () => number
}

/** Keeps a lease alive until it lapses, is spoiled or forgotten, or the signal aborts. Resolves with why it ended. */
export async function keep(granted: Lease, options: KeepOptions, call: CallOptions): Promise<NatError | undefined> {
  const { clock, random, bell, renew, onRenewed, onFailed, spoiled, forgotten, pollAtMs } = options
  let lease = granted
  let since = stamp(clock)
  let attempts = 0
  let sentMs: number | undefined
  let notBeforeMs = 0
  let failure: NatError | undefined
  /** When to ask because somebody doubts the lease. What was granted a moment ago is asked for again only if it is known
   * to be forgotten. */
  let checkAtMs = Number.POSITIVE_INFINITY

  for (;;) {
    const lapsesMs = since.monotonicMs + lease.lifetimeMs
    const scheduled = renewalMs(lease.lifetimeMs, attempts, sentMs, random)
    const renewAtMs = Math.max(
      notBeforeMs,
      scheduled === undefined ? Number.POSITIVE_INFINITY : since.monotonicMs + scheduled
    )
    const dueMs = Math.min(renewAtMs, Math.max(notBeforeMs, pollAtMs()), checkAtMs, lapsesMs)
    const why = await bell.wait(dueMs - clock.monotonicMs(), call)

    const ended = spoiled()
    if (ended !== undefined) return ended
    // The wall clock goes on while the machine sleeps, and so does the router's.
    if (elapsedMs(clock, since) >= lease.lifetimeMs) return failure
    if (why === 'check') checkAtMs = forgotten() ? 0 : since.monotonicMs + leastSpacingMs
    if (why === 'look' || clock.monotonicMs() < Math.min(renewAtMs, pollAtMs(), checkAtMs)) continue
    checkAtMs = Number.POSITIVE_INFINITY

    attempts++
    sentMs = clock.monotonicMs() - since.monotonicMs
    try {
      const before = lease
      lease = await renew(lease, call)
      since = stamp(clock)
      attempts = 0
      sentMs = undefined
      notBeforeMs = 0
      failure = undefined
      onRenewed(lease, before)
    } catch (error) {
      call.signal.throwIfAborted()
      failure = asNatError(error)
      notBeforeMs = clock.monotonicMs() + Math.max(leastSpacingMs, failure.retryAfterMs ?? 0)
      onFailed(failure)
      if (forgotten()) return failure
    }
  }
}

interface Stamp {
  readonly monotonicMs: number
  readonly wallMs: number
}

const stamp = (clock: Clock): Stamp => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() })

/** Whichever clock saw more time pass. A wall clock that was set back or forward by hand shows here too: a lease is then
 * at worst asked for again too early. */
export const elapsedMs = (clock: Clock, since: Stamp): number =>
  Math.max(clock.monotonicMs() - since.monotonicMs, clock.wallMs() - since.wallMs)
