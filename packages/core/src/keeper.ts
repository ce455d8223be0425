import { anySignal, type CallOptions, type Clock, type Lease, type NatError, natError } from '@postern/interface'
import { asNatError } from './attempt.js'
import type { Bell } from './bell.js'
import { minSpacingMs, renewalMs } from './renewal.js'

export interface KeepOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly bell: Bell
  /** How often to ask although no renewal is due, in ms; `Infinity` for never. */
  readonly pollMs: number
  /** When whoever granted it was last asked for another lease, on the monotonic clock: that was a poll as good as one for
   * this lease. */
  readonly heardMs: () => number
  /** Renews within the policy's bound. */
  readonly renew: (lease: Lease, call: CallOptions) => Promise<Lease>
  /** What a renewal gave that nobody waited for any more, once: the lease is dead then, and this lives. The bell rings
   * when there is one. */
  readonly successor: () => Lease | undefined
  /** The lease has lapsed while this renewal of it was under way. */
  readonly abandon: (renewal: Promise<Lease>) => void
  readonly onRenewed: (lease: Lease, before: Lease) => void
  readonly onFailed: (error: NatError) => void
  /** Why the lease is worth nothing any more although its time has not run out; undefined while it is. */
  readonly spoiled: () => NatError | undefined
  /** Whether whoever granted it is known to have forgotten it. A renewal that fails then ends it at once. */
  readonly forgotten: () => boolean
}

/** How a lease has ended. */
export interface Ending {
  /** `spoiled`: worth nothing here any more; `forgotten`: by whoever granted it; `lapsed`: its time has run out. */
  readonly kind: 'spoiled' | 'forgotten' | 'lapsed'
  readonly why: NatError
}

/** Keeps a lease alive until it lapses, is spoiled or forgotten, or the signal aborts. Resolves with how it ended. */
export async function keep(granted: Lease, options: KeepOptions, call: CallOptions): Promise<Ending> {
  const { clock, random, bell, pollMs, heardMs, renew, successor, abandon, onRenewed, onFailed, spoiled, forgotten } =
    options
  let lease = granted
  let since = stamp(clock)
  let attempts = 0
  let scheduled = renewalMs(lease.lifetimeMs, 0, undefined, random)
  let failures = 0
  /** When to ask again after a failure, apart from the schedule. */
  let retryAtMs = 0
  let notBeforeMs = since.monotonicMs + minSpacingMs
  let restsUntilMs = 0
  let failedMs = Number.NEGATIVE_INFINITY
  /** When to ask because somebody doubts the lease. */
  let checkAtMs = Number.POSITIVE_INFINITY
  let failure: NatError | undefined

  /** A poll that fails says that something is wrong: the next one comes sooner, but not for ever. */
  const pollAtMs = (): number => (failures > 0 ? retryAtMs : Math.max(since.monotonicMs, heardMs()) + pollMs)

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

  /** How it ended where that comes before there is an outcome: a slow router must not hold up what is known without it. */
  async function renewInTime(lapsesMs: number): Promise<Lease | Ending> {
    const cut = new AbortController()
    const settled = new AbortController()
    const renewal = renew(lease, { signal: anySignal([call.signal, cut.signal]) })
    const settle = (): void => settled.abort(inTime)
    renewal.then(settle, settle)
    const waits = { signal: anySignal([call.signal, settled.signal]) }
    let rung: 'look' | 'check' | undefined
    try {
      for (;;) {
        const why = await bell.wait(lapsesMs - clock.monotonicMs(), waits).catch(() => undefined)
        if (why === undefined) return await renewal
        if (why === 'time') {
          abandon(renewal)
          return lost('lapsed')
        }
        if (rung !== 'check') rung = why
        const ended = spoiled()
        if (ended === undefined) continue
        abandon(renewal)
        cut.abort(ended)
        return { kind: 'spoiled', why: ended }
      }
    } finally {
      // What was rung meanwhile is for what comes of it.
      if (rung !== undefined) bell.ring(rung)
    }
  }

  for (;;) {
    const lapsesMs = since.monotonicMs + lease.lifetimeMs
    const renewAtMs =
      scheduled === undefined ? Number.POSITIVE_INFINITY : Math.max(since.monotonicMs + scheduled, notBeforeMs)
    const dueMs = Math.min(renewAtMs, Math.max(pollAtMs(), notBeforeMs), checkAtMs, lapsesMs)
    const why = await bell.wait(dueMs - clock.monotonicMs(), call)

    const ended = spoiled()
    if (ended !== undefined) return { kind: 'spoiled', why: ended }
    const late = successor()
    if (late !== undefined) {
      accept(late)
      continue
    }
    // The wall clock goes on while the machine sleeps, and so does the router's.
    if (elapsedMs(clock, since) >= lease.lifetimeMs) return lost('lapsed')
    const now = clock.monotonicMs()
    if (why === 'check') {
      // A restart is told more than once, by each protocol that the router speaks for example: what was granted a moment ago
      // is not asked for again at once, even if it is said to be forgotten. An attempt that has just failed may have been
      // carried out all the same. That the router wants to be left alone holds only for what it has not forgotten.
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
      // Only what the schedule wanted moves it on, or polls that fail would put off what is due.
      if (isScheduled) {
        attempts++
        scheduled = renewalMs(lease.lifetimeMs, attempts, now - since.monotonicMs, random)
      }
      onFailed(failure)
      if (forgotten()) return lost('forgotten')
    }
  }
}

/** Made once: an abort without a reason makes a new error with its stack. */
const inTime = new Error('the renewal is over')

interface Stamp {
  readonly monotonicMs: number
  readonly wallMs: number
}

export const stamp = (clock: Clock): Stamp => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() })

/** Whichever clock saw more time pass. A wall clock that was set back or forward by hand shows here too: a lease is then
 * at worst asked for again too early. */
export const elapsedMs = (clock: Clock, since: Stamp): number =>
  Math.max(clock.monotonicMs() - since.monotonicMs, clock.wallMs() - since.wallMs)
