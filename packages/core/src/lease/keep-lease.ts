import {
  abortReason,
  anySignal,
  type CallOptions,
  type Clock,
  type Lease,
  type NatError,
  natError
} from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Wakeup } from '../async/wakeup.js'
import {
  expiresAtMs,
  type LeaseAction,
  nextAction,
  recheckRequested,
  requestFailed,
  requestSent,
  startTiming
} from './lease-timing.js'
import { stamp } from './stamp.js'

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
export async function keepLease(granted: Lease, options: KeepOptions, call: CallOptions): Promise<Ending> {
  const { clock, random, wakeup, pollMs, lastContactMs, successor, onRenewed, onFailed, invalidReason, forgotten } =
    options
  let lease = granted
  let timing = startTiming(lease.lifetimeMs, stamp(clock), random)
  let failure: NatError | undefined

  const next = (): LeaseAction => nextAction(timing, stamp(clock), { pollMs, lastContactMs: lastContactMs() })
  const lost = (kind: 'forgotten' | 'lapsed'): Ending => ({
    kind,
    why: failure ?? natError('LEASE_LAPSED', 'it was not renewed in time')
  })

  function accept(renewed: Lease): void {
    const before = lease
    const isRecheckDue = timing.recheckAtMs !== Number.POSITIVE_INFINITY
    lease = renewed
    timing = startTiming(lease.lifetimeMs, stamp(clock), random)
    // A renewal that came late may have been granted before what the check is about.
    if (isRecheckDue) timing = recheckRequested(timing, forgotten())
    failure = undefined
    onRenewed(lease, before)
  }

  for (;;) {
    const planned = next()
    const why = await wakeup.wait(planned.kind === 'wait' ? planned.ms : 0, call)
    const invalid = invalidReason()
    if (invalid !== undefined) return { kind: 'invalid', why: invalid }
    const late = successor()
    if (late !== undefined) {
      accept(late)
      continue
    }
    if (why === 'recheck') timing = recheckRequested(timing, forgotten())
    const { kind } = next()
    if (kind === 'expire') return lost('lapsed')
    if (kind === 'wait') continue

    timing = requestSent(timing)
    const sentMs = kind === 'renew' ? clock.monotonicMs() : undefined
    try {
      const renewed = await renewInTime(lease, expiresAtMs(timing), options, call)
      if (renewed === 'lapsed') return lost('lapsed')
      if ('kind' in renewed) return renewed
      accept(renewed)
    } catch (error) {
      call.signal.throwIfAborted()
      failure = asNatError(error)
      const { retryAfterMs } = failure
      timing = requestFailed(timing, { atMs: clock.monotonicMs(), retryAfterMs, sentMs }, random)
      onFailed(failure)
      if (forgotten()) return lost('forgotten')
    }
  }
}

/** Renews a lease. Resolves with an ending if the lease ends first: a slow router must not delay what is known without
 * it. Rejects with what the renewal failed with. */
async function renewInTime(
  lease: Lease,
  expiresMs: number,
  { clock, wakeup, renew, abandon, invalidReason }: KeepOptions,
  call: CallOptions
): Promise<Lease | Ending | 'lapsed'> {
  const renewalController = new AbortController()
  const settled = new AbortController()
  const renewal = renew(lease, { signal: anySignal([call.signal, renewalController.signal]) })
  const settle = (): void => settled.abort(isOver)
  renewal.then(settle, settle)
  const waits = { signal: anySignal([call.signal, settled.signal]) }
  let woken: 'rescan' | 'recheck' | undefined
  try {
    for (;;) {
      const why = await wakeup.wait(expiresMs - clock.monotonicMs(), waits).catch(() => undefined)
      if (why === undefined) return await renewal
      if (why === 'time') {
        abandon(renewal)
        return 'lapsed'
      }
      if (woken !== 'recheck') woken = why
      const invalid = invalidReason()
      if (invalid === undefined) continue
      abandon(renewal)
      renewalController.abort(invalid)
      return { kind: 'invalid', why: invalid }
    }
  } finally {
    // Wakes that came during the renewal are kept for the next wait.
    if (woken !== undefined) wakeup.wake(woken)
  }
}

const isOver = abortReason('the renewal is over')
