import type { CallOptions } from '@postern/interface'
import { keepRecent } from '../async/keep-recent.js'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import type { Context } from '../context.js'
import { backOffMs } from '../model/policy.js'

type Why = 'hint' | 'restarted'

/** Decides when to ask a gateway again for everything that it granted. */
export interface GatewayRecovery {
  /**
   * Reports a sign that a gateway's state may have changed, or that it has lost its mappings (`restarted`).
   *
   * @param by - the strategy that has detected it. Of several strategies that report a restart, the later ones report
   * the same one
   */
  trigger(gateway: string, why: Why, call: CallOptions, by?: string): void
}

/** All strategies notice a restart within this time (ms). UPnP inspects the device first. */
const sameRestartMs = 30_000

interface Restart {
  readonly toldMs: number
  /** The strategies that have reported it. */
  readonly by: Set<string>
}

interface Pace {
  /** The next recovery: why, and when at the earliest. Undefined if none is due. */
  pending: { readonly why: Why; readonly dueMs: number; toldMs: number; readonly call: CallOptions } | undefined
  readonly wakeup: Wakeup
  lastMs: number
  /** How many recoveries in a row changed nothing. */
  count: number
  restartedMs: number
  restarts: number
  /** The latest restart that was reported. */
  restart: Restart | undefined
}

/**
 * Combines triggers that come together. Recoveries of one gateway keep a minimum interval, which grows while they
 * change nothing: any host on the link can forge hints.
 */
export function createGatewayRecovery({
  host,
  policy,
  bus
}: Pick<Context, 'host' | 'policy' | 'bus'>): GatewayRecovery {
  const { clock } = host
  const paces = new Map<string, Pace>()

  function paceOf(gateway: string): Pace {
    const pace = paces.get(gateway) ?? {
      pending: undefined,
      wakeup: createWakeup(clock),
      lastMs: Number.NEGATIVE_INFINITY,
      count: 0,
      restartedMs: Number.NEGATIVE_INFINITY,
      restarts: 0,
      restart: undefined
    }
    // Keep gateways with a pending recovery.
    keepRecent(paces, gateway, pace, ({ pending }) => pending !== undefined)
    return pace
  }

  /** Returns when a restart that a strategy reports now was first reported (monotonic ms). A second report of one
   * strategy is a second restart. */
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

  /** The router itself confirmed the restart, so earlier unconfirmed hints do not delay the recovery. */
  const allowedMs = (pace: Pace, why: Why): number =>
    why === 'restarted'
      ? pace.restartedMs + backOffMs(policy.recovery, pace.restarts)
      : pace.lastMs + backOffMs(policy.recovery, pace.count)

  async function run(gateway: string, pace: Pace, call: CallOptions): Promise<void> {
    while (pace.pending !== undefined) {
      const { why, dueMs, toldMs } = pace.pending
      const leftMs = Math.max(dueMs, allowedMs(pace, why)) - clock.monotonicMs()
      if (leftMs > 0) {
        await pace.wakeup.wait(leftMs, call)
        continue
      }
      const now = clock.monotonicMs()
      const isCalm = (sinceMs: number): boolean => now - sinceMs > policy.recovery.maxMs
      pace.count = why === 'restarted' || isCalm(pace.lastMs) ? 1 : pace.count + 1
      pace.lastMs = now
      if (why === 'restarted') {
        pace.restarts = isCalm(pace.restartedMs) ? 1 : pace.restarts + 1
        pace.restartedMs = now
      }
      pace.pending = undefined
      bus.emit('gatewayDoubted', { gateway, why, toldMs })
    }
  }

  // Something has indeed changed there: the next hint is acted on sooner.
  bus.on('gatewayChanged', (gateway) => {
    const pace = paces.get(gateway)
    if (pace !== undefined) pace.count = Math.min(pace.count, 1)
  })

  return {
    trigger(gateway, why, call, by = '') {
      const pace = paceOf(gateway)
      const waiting = pace.pending !== undefined && !pace.pending.call.signal.aborted ? pace.pending : undefined
      const now = clock.monotonicMs()
      const toldMs = why === 'restarted' ? firstToldMs(pace, by) : now
      if (waiting?.why === why) waiting.toldMs = toldMs
      if (waiting?.why === why || waiting?.why === 'restarted') return
      // RFC 6886 §3.7, RFC 6887 §14.1.3: after a restart all hosts of the network react at once.
      const jitterMs = why === 'restarted' ? host.random() * policy.restartJitterMs : 0
      pace.pending = { why, dueMs: now + policy.debounceMs + jitterMs, toldMs, call }
      if (waiting !== undefined) return pace.wakeup.wake('rescan')
      run(gateway, pace, call).catch(() => {
        if (pace.pending?.call === call) pace.pending = undefined
      })
    }
  }
}
