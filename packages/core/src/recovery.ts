import type { CallOptions, Host } from '@postern/interface'
import { type Bell, createBell } from './bell.js'
import { backOffMs, type Policy } from './policy.js'
import { remember } from './recent.js'

type Why = 'hint' | 'restarted'

/** Decides when a gateway is asked again about everything that it granted. */
export interface Recoveries {
  /** Something suggests that this gateway is not what it was. `restarted`: it has lost its mappings.
   *
   * @param by - the strategy that has found it out; of two that tell of a restart, the later one tells of the same */
  trigger(gateway: string, why: Why, call: CallOptions, by?: string): void
  /** Something has changed there indeed: the next hint need not wait for long. */
  confirm(gateway: string): void
}

/** A restart that several strategies notice is noticed by all of them within this time, in ms: UPnP looks at the device first. */
const sameRestartMs = 30_000

interface Restart {
  readonly toldMs: number
  /** The strategies that have told of it. */
  readonly by: Set<string>
}

interface Pace {
  /** Why the next recovery comes, and when at the earliest; undefined while none is to come. */
  pending: { readonly why: Why; readonly dueMs: number; toldMs: number; readonly call: CallOptions } | undefined
  readonly bell: Bell
  lastMs: number
  /** How many recoveries in a row changed nothing. */
  count: number
  restartedMs: number
  restarts: number
  /** The latest one that was told of. */
  restart: Restart | undefined
}

/**
 * Triggers that come together are one; recoveries of one gateway keep a distance that grows while nothing comes of them:
 * anybody on the link can forge hints.
 *
 * @param recover - is told, too, when the last trigger came, or the first one of the last restart, on the monotonic clock: what was granted since then is new
 */
export function createRecoveries(
  host: Host,
  policy: Policy,
  recover: (gateway: string, why: Why, toldMs: number) => void
): Recoveries {
  const { clock } = host
  const paces = new Map<string, Pace>()

  function paceOf(gateway: string): Pace {
    const pace = paces.get(gateway) ?? {
      pending: undefined,
      bell: createBell(clock),
      lastMs: Number.NEGATIVE_INFINITY,
      count: 0,
      restartedMs: Number.NEGATIVE_INFINITY,
      restarts: 0,
      restart: undefined
    }
    // One that waits is kept: what it waits for is to happen.
    remember(paces, gateway, pace, ({ pending }) => pending !== undefined)
    return pace
  }

  /** When the restart was told of first, that a strategy tells of now. One that tells twice tells of two. */
  function firstToldMs(pace: Pace, by: string): number {
    const now = clock.monotonicMs()
    const { restart } = pace
    if (restart !== undefined && now - restart.toldMs < sameRestartMs && !restart.by.has(by)) {
      restart.by.add(by)
      return restart.toldMs
    }
    pace.restart = { toldMs: now, by: new Set([by]) }
    return now
  }

  /** That it has started again is what the router itself said when it was asked: no hint before puts that off. */
  const allowedMs = (pace: Pace, why: Why): number =>
    why === 'restarted'
      ? pace.restartedMs + backOffMs(policy.recovery, pace.restarts)
      : pace.lastMs + backOffMs(policy.recovery, pace.count)

  async function run(gateway: string, pace: Pace, call: CallOptions): Promise<void> {
    while (pace.pending !== undefined) {
      const { why, dueMs, toldMs } = pace.pending
      const leftMs = Math.max(dueMs, allowedMs(pace, why)) - clock.monotonicMs()
      if (leftMs > 0) {
        await pace.bell.wait(leftMs, call)
        continue
      }
      const now = clock.monotonicMs()
      const isCalm = (sinceMs: number): boolean => now - sinceMs > policy.recovery.mostMs
      pace.count = why === 'restarted' || isCalm(pace.lastMs) ? 1 : pace.count + 1
      pace.lastMs = now
      if (why === 'restarted') {
        pace.restarts = isCalm(pace.restartedMs) ? 1 : pace.restarts + 1
        pace.restartedMs = now
      }
      pace.pending = undefined
      recover(gateway, why, toldMs)
    }
  }

  return {
    trigger(gateway, why, call, by = '') {
      const pace = paceOf(gateway)
      const waiting = pace.pending !== undefined && !pace.pending.call.signal.aborted ? pace.pending : undefined
      const now = clock.monotonicMs()
      const toldMs = why === 'restarted' ? firstToldMs(pace, by) : now
      if (waiting?.why === why) waiting.toldMs = toldMs
      if (waiting?.why === why || waiting?.why === 'restarted') return
      // RFC 6886 §3.7, RFC 6887 §14.1.3: after a restart every host of the network wakes up at once.
      const jitterMs = why === 'restarted' ? host.random() * policy.restartJitterMs : 0
      pace.pending = { why, dueMs: now + policy.coalesceMs + jitterMs, toldMs, call }
      if (waiting !== undefined) return pace.bell.ring('look')
      run(gateway, pace, call).catch(() => {
        if (pace.pending?.call === call) pace.pending = undefined
      })
    },
    confirm(gateway) {
      const pace = paces.get(gateway)
      if (pace !== undefined) pace.count = Math.min(pace.count, 1)
    }
  }
}
