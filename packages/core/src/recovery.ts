import type { CallOptions, Host } from '@postern/interface'
import { type Bell, createBell } from './bell.js'
import { backOffMs, type Policy } from './policy.js'

type Why = 'hint' | 'restarted'

/** Decides when a gateway is asked again about everything that it granted. */
export interface Recoveries {
  /** Something suggests that this gateway is not what it was. `restarted`: it has lost its mappings. */
  trigger(gateway: string, why: Why, call: CallOptions): void
  /** Something has changed there indeed: the next hint need not wait for long. */
  confirm(gateway: string): void
}

/** Gateways that are remembered. Others, whose turn was longest ago, are forgotten: routes can be forged without end. */
const maxGateways = 64

interface Pace {
  /** Why the next recovery comes, and when at the earliest; undefined while none is to come. */
  pending: { readonly why: Why; readonly dueMs: number; toldMs: number; readonly call: CallOptions } | undefined
  readonly bell: Bell
  lastMs: number
  /** How many recoveries in a row changed nothing. */
  count: number
  restartedMs: number
  restarts: number
}

/**
 * Triggers that come together are one; recoveries of one gateway keep a distance that grows while nothing comes of them:
 * anybody on the link can forge hints.
 *
 * @param recover - is told, too, when the last trigger came, on the monotonic clock: what was granted since then is new
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
      restarts: 0
    }
    paces.delete(gateway)
    forgetOldest()
    paces.set(gateway, pace)
    return pace
  }

  /** One that waits is kept: what it waits for is to happen. */
  function forgetOldest(): void {
    for (const [gateway, { pending }] of paces) {
      if (paces.size < maxGateways) return
      if (pending === undefined) paces.delete(gateway)
    }
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
    trigger(gateway, why, call) {
      const pace = paceOf(gateway)
      const waiting = pace.pending !== undefined && !pace.pending.call.signal.aborted ? pace.pending : undefined
      const toldMs = clock.monotonicMs()
      if (waiting?.why === why) waiting.toldMs = toldMs
      if (waiting?.why === why || waiting?.why === 'restarted') return
      // RFC 6886 §3.7, RFC 6887 §14.1.3: after a restart every host of the network wakes up at once.
      const jitterMs = why === 'restarted' ? host.random() * policy.restartJitterMs : 0
      pace.pending = { why, dueMs: toldMs + policy.coalesceMs + jitterMs, toldMs, call }
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
