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
  startTiming,
  type TimingInputs
} from './lease-timing.js'
import { stamp } from './stamp.js'

/** The owner of a lease that is kept alive. */
export interface LeaseOwner<L extends Lease = Lease> {
  /** Returns how often to poll the lease and when its gateway was last asked.
   * @default never polls */
  readonly polling?: () => TimingInputs
  /** Renews within the time limit of the policy. A renewal that succeeds after the lease has ended is the owner's to
   * release. */
  readonly renew: (lease: L, call: CallOptions) => Promise<L>
  /** Returns a renewal that completed after its timeout, once. It replaces the current lease, which is no longer valid.
   * The owner wakes the loop when there is one. */
  readonly lateRenewal?: () => L | undefined
  readonly onRenewed: (lease: L, before: L) => void
  readonly onFailed?: (error: NatError) => void
  /** Returns why the lease became unusable before it expired; undefined while it is usable. */
  readonly invalidReason?: () => NatError | undefined
  /** Whether the lease is known to be forgotten by its gateway or relay. A renewal that fails then ends it at once. */
  readonly isForgotten: () => boolean
}

/** What the loop of a lease needs of its program. */
export interface KeepOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly wakeup: Wakeup
}

/** How a lease has ended. */
export interface Ending {
  /** `invalid`: unusable here; `forgotten`: the gateway or relay has lost it; `lapsed`: it has expired. */
  readonly kind: 'invalid' | 'forgotten' | 'lapsed'
  readonly why: NatError
}

/** Keeps a lease alive until it expires, becomes unusable or is forgotten. Resolves with how it ended. Rejects with the
 * signal's reason. */
export async function keepLease<L extends Lease>(
  granted: L,
  owner: LeaseOwner<L>,
  options: KeepOptions,
  call: CallOptions
): Promise<Ending> {
  const { clock, random, wakeup } = options
  const { isForgotten, polling = neverPoll } = owner
  let lease = granted
  let timing = startTiming(lease.lifetimeMs, stamp(clock), random)
  let failure: NatError | undefined

  const next = (): LeaseAction => nextAction(timing, stamp(clock), polling())
  const lost = (kind: 'forgotten' | 'lapsed'): Ending => ({
    kind,
    why: failure ?? natError('LEASE_LAPSED', 'it was not renewed in time')
  })

  function accept(renewed: L): void {
    const before = lease
    const isRecheckDue = timing.recheckAtMs !== Number.POSITIVE_INFINITY
    lease = renewed
    timing = startTiming(lease.lifetimeMs, stamp(clock), random)
    // A renewal that came late may have been granted before what the check is about.
    if (isRecheckDue) timing = recheckRequested(timing, isForgotten())
    failure = undefined
    owner.onRenewed(lease, before)
  }

  for (;;) {
    const planned = next()
    const why = await wakeup.wait(planned.kind === 'wait' ? planned.ms : 0, call)
    const invalid = owner.invalidReason?.()
    if (invalid !== undefined) return { kind: 'invalid', why: invalid }
    const late = owner.lateRenewal?.()
    if (late !== undefined) {
      accept(late)
      continue
    }
    if (why === 'recheck') timing = recheckRequested(timing, isForgotten())
    const { kind } = next()
    if (kind === 'expire') return lost('lapsed')
    if (kind === 'wait') continue

    timing = requestSent(timing)
    const sentMs = kind === 'renew' ? clock.monotonicMs() : undefined
    try {
      const renewed = await renewInTime(lease, expiresAtMs(timing), owner, { options, call })
      if (renewed === 'lapsed') return lost('lapsed')
      if ('kind' in renewed) return renewed
      accept(renewed)
    } catch (error) {
      call.signal.throwIfAborted()
      failure = asNatError(error)
      const { retryAfterMs } = failure
      timing = requestFailed(timing, { atMs: clock.monotonicMs(), retryAfterMs, sentMs }, random)
      owner.onFailed?.(failure)
      if (isForgotten()) return lost('forgotten')
    }
  }
}

/** Renews a lease. Resolves with an ending if the lease ends first: a slow router must not delay what is known without
 * it. Rejects with what the renewal failed with. */
async function renewInTime<L extends Lease>(
  lease: L,
  expiresMs: number,
  owner: LeaseOwner<L>,
  { options, call }: { readonly options: KeepOptions; readonly call: CallOptions }
): Promise<L | Ending | 'lapsed'> {
  const { clock, wakeup } = options
  const renewalController = new AbortController()
  const settled = new AbortController()
  const renewal = owner.renew(lease, { signal: anySignal([call.signal, renewalController.signal]) })
  const settle = (): void => settled.abort(isOver)
  renewal.then(settle, settle)
  const waits = { signal: anySignal([call.signal, settled.signal]) }
  let woken: 'rescan' | 'recheck' | undefined
  try {
    for (;;) {
      const why = await wakeup.wait(expiresMs - clock.monotonicMs(), waits).catch(() => undefined)
      if (why === undefined) return await renewal
      if (why === 'time') return 'lapsed'
      if (woken !== 'recheck') woken = why
      const invalid = owner.invalidReason?.()
      if (invalid === undefined) continue
      renewalController.abort(invalid)
      return { kind: 'invalid', why: invalid }
    }
  } finally {
    // Wakes that came during the renewal are kept for the next wait.
    if (woken !== undefined) wakeup.wake(woken)
  }
}

const neverPoll = (): TimingInputs => ({ pollMs: Number.POSITIVE_INFINITY, lastContactMs: 0 })

const isOver = abortReason('the renewal is over')
