import type { CallOptions, Host } from '@postern/interface'
import { backOffMs, type Policy } from './policy.js'

/** Decides when a gateway is asked again about everything that it granted. */
export interface Recoveries {
  /** Something suggests that this gateway is not what it was. `restarted`: it has lost its mappings. */
  trigger(gateway: string, why: 'hint' | 'restarted', call: CallOptions): void
}

interface Pace {
  pending: 'hint' | 'restarted' | undefined
  lastMs: number
  count: number
}

/** Triggers that come together are one; recoveries of one gateway keep a distance that grows while they go on. */
export function createRecoveries(
  host: Host,
  policy: Policy,
  recover: (gateway: string, why: 'hint' | 'restarted') => void
): Recoveries {
  const { clock } = host
  const paces = new Map<string, Pace>()

  async function run(gateway: string, pace: Pace, call: CallOptions): Promise<void> {
    // RFC 6886 §3.7, RFC 6887 §14.1.3: after a restart every host of the network wakes up at once.
    const jitterMs = pace.pending === 'restarted' ? host.random() * policy.restartJitterMs : 0
    const allowedMs = pace.lastMs + backOffMs(policy.recovery, pace.count)
    await clock.sleep(Math.max(policy.coalesceMs + jitterMs, allowedMs - clock.monotonicMs()), call)
    const why = pace.pending ?? 'hint'
    const calmMs = clock.monotonicMs() - pace.lastMs
    pace.count = calmMs > policy.recovery.mostMs ? 1 : pace.count + 1
    pace.lastMs = clock.monotonicMs()
    pace.pending = undefined
    recover(gateway, why)
  }

  return {
    trigger(gateway, why, call) {
      const pace = paces.get(gateway) ?? { pending: undefined, lastMs: Number.NEGATIVE_INFINITY, count: 0 }
      paces.set(gateway, pace)
      const waiting = pace.pending !== undefined
      if (pace.pending !== 'restarted') pace.pending = why
      if (waiting) return
      run(gateway, pace, call).catch(() => {
        pace.pending = undefined
      })
    }
  }
}
