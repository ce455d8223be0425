import { anySignal, type CallOptions, type Clock, type Lease, type NatError, natError } from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Wakeup } from '../async/wakeup.js'
import { minSpacingMs, renewalMs } from './renewal-schedule.js'

export interface KeepOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly wakeup: Wakeup
  /** How often to poll the lease when no renewal is due, in ms; `Infinity` for never. */
  readonly pollMs: number
  /** Returns when this strategy last contacted the gateway for any lease (monotonic ms). Such a contact also counts as
   * a poll of this lease. */
  readonly lastContactMs: () => number
  /** Renews within the time limit of the policy. */
  readonly renew: (lease: Lease, call: CallOptions) => Promise<Lease>
  /** Returns a renewal that completed after its timeout, once. It replaces the current lease, which is no longer valid.
   * Wakes the loop when there is one. */
  readonly successor: () => Lease | undefined
  /** Called with a renewal that was still in progress when the lease ended. */
  readonly abandon: (renewal: Promise<Lease>) => void
  readonly onRenewed: (lease: Lease, before: Lease) => void
  readonly onFailed: (error: NatError) => void
  /** Returns why the lease became unusable before it expired; undefined while it is usable. */
  readonly invalidReason: () => NatError | undefined
  /** Whether the lease is known to be forgotten by its gateway or relay. A renewal that fails then ends it at once. */
  readonly forgotten: () => boolean
}

/** How a lease has ended. */
export interface Ending {
  /** `invalid`: unusable here; `forgotten`: the gateway or relay has lost it; `lapsed`: it has expired. */
  readonly kind: 'invalid' | 'forgotten' | 'lapsed'
  readonly why: NatError
}

/** Keeps a lease alive until it expires, becomes unusable or is forgotten. Resolves with how it ended. Rejects with the
 * signal's reason. */
export async function keep(granted: Lease, options: KeepOptions, call: CallOptions): Promise<Ending> {
  const {
    clock,
    random,
    wakeup,
    pollMs,
    lastContactMs,
    renew,
    successor,
    abandon,
    onRenewed,
    onFailed,
    invalidReason,
    forgotten
  } = options
  let lease = granted
  let since = stamp(clock)
  let attempts = 0
  let scheduled = renewalMs(lease.lifetimeMs, 0, undefined, random)
  let failures = 0
  /** When to try again after a failure, apart from the schedule (monotonic ms). */
  let retryAtMs = 0
  let notBeforeMs = since.monotonicMs + minSpacingMs
  let restsUntilMs = 0
  let failedMs = Number.NEGATIVE_INFINITY
  /** When to poll because a check was requested (monotonic ms). */
  let checkAtMs = Number.POSITIVE_INFINITY
  let failure: NatError | undefined

  /** Returns when the next poll is due. After a failure it comes sooner, with a delay that doubles up to `pollMs`. */
  const pollAtMs = (): number => (failures > 0 ? retryAtMs : Math.max(since.monotonicMs, lastContactMs()) + pollMs)

  const lost = (kind: 'forgotten' | 'lapsed'): Ending => ({
    kind,
    why: failure ?? natError('LEASE_LAPSED', 'it was not renewed in time')
  })

  function accept(next: Lease): void {
    const before = lease
    lease = next
    since = stamp(clock)
    attempts = 0
    failures = 0
    scheduled = renewalMs(lease.lifetimeMs, 0, undefined, random)
    notBeforeMs = since.monotonicMs + minSpacingMs
    restsUntilMs = 0
    failedMs = Number.NEGATIVE_INFINITY
    failure = undefined
    onRenewed(lease, before)
  }

  /** Renews the lease. Resolves with an ending if the lease ends first: a slow router must not delay what is known
   * without it. */
  async function renewInTime(lapsesMs: number): Promise<Lease | Ending> {
    const cut = new AbortController()
    const settled = new AbortController()
    const renewal = renew(lease, { signal: anySignal([call.signal, cut.signal]) })
    const settle = (): void => settled.abort(inTime)
    renewal.then(settle, settle)
    const waits = { signal: anySignal([call.signal, settled.signal]) }
    let woken: 'rescan' | 'recheck' | undefined
    try {
      for (;;) {
        const why = await wakeup.wait(lapsesMs - clock.monotonicMs(), waits).catch(() => undefined)
        if (why === undefined) return await renewal
        if (why === 'time') {
          abandon(renewal)
          return lost('lapsed')
        }
        if (woken !== 'recheck') woken = why
        const ended = invalidReason()
        if (ended === undefined) continue
        abandon(renewal)
        cut.abort(ended)
        return { kind: 'invalid', why: ended }
      }
    } finally {
      // Wakes that came during the renewal are kept for the next wait.
      if (woken !== undefined) wakeup.wake(woken)
    }
  }

  for (;;) {
    const lapsesMs = since.monotonicMs + lease.lifetimeMs
    const renewAtMs =
      scheduled === undefined ? Number.POSITIVE_INFINITY : Math.max(since.monotonicMs + scheduled, notBeforeMs)
    const dueMs = Math.min(renewAtMs, Math.max(pollAtMs(), notBeforeMs), checkAtMs, lapsesMs)
    const why = await wakeup.wait(dueMs - clock.monotonicMs(), call)

    const ended = invalidReason()
    if (ended !== undefined) return { kind: 'invalid', why: ended }
    const late = successor()
    if (late !== undefined) {
      accept(late)
      continue
    }
    // The wall clock and the router's clock run on while the machine sleeps.
    if (elapsedMs(clock, since) >= lease.lifetimeMs) return lost('lapsed')
    const now = clock.monotonicMs()
    if (why === 'recheck') {
      // One restart is reported more than once, by each protocol of the router for example. A lease that was granted a
      // moment ago is not renewed again at once, even if it is said to be forgotten. An attempt that has just failed
      // may have been carried out all the same. The router's retry-after does not count for what it has forgotten.
      const spacedMs = Math.max(since.monotonicMs, failedMs) + minSpacingMs
      checkAtMs = forgotten() ? spacedMs : Math.max(spacedMs, restsUntilMs)
    }
    if (now < Math.min(renewAtMs, Math.max(pollAtMs(), notBeforeMs), checkAtMs)) continue

    checkAtMs = Number.POSITIVE_INFINITY
    const isScheduled = now >= renewAtMs
    try {
      const next = await renewInTime(lapsesMs)
      if ('kind' in next) return next
      accept(next)
    } catch (error) {
      call.signal.throwIfAborted()
      failure = asNatError(error)
      failures++
      failedMs = clock.monotonicMs()
      restsUntilMs = failedMs + (failure.retryAfterMs ?? 0)
      notBeforeMs = Math.max(failedMs + minSpacingMs, restsUntilMs)
      retryAtMs = failedMs + Math.min(pollMs, minSpacingMs * 2 ** (failures - 1))
      // Only a scheduled renewal advances the schedule; otherwise failed polls would postpone what is due.
      if (isScheduled) {
        attempts++
        scheduled = renewalMs(lease.lifetimeMs, attempts, now - since.monotonicMs, random)
      }
      onFailed(failure)
      if (forgotten()) return lost('forgotten')
    }
  }
}

/** Created once, because abort() without a reason creates an error with a stack trace each time. */
const inTime = new Error('the renewal is over')

interface Stamp {
  readonly monotonicMs: number
  readonly wallMs: number
}

export const stamp = (clock: Clock): Stamp => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() })

/** Returns the elapsed time by the clock that saw more of it. If the wall clock was set by hand, a lease is renewed too
 * early at worst. */
export const elapsedMs = (clock: Clock, since: Stamp): number =>
  Math.max(clock.monotonicMs() - since.monotonicMs, clock.wallMs() - since.wallMs)
