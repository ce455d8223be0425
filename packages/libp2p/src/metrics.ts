import type { Metrics } from '@libp2p/interface'
import type { Traversal } from '@postern/core'

const events = ['mapped', 'renewed', 'changed', 'lost', 'verified', 'refuted', 'failed', 'released', 'shared'] as const

/** Registers metrics: a counter of events, and the verdict and candidates at the time of each read. */
export function registerMetrics(metrics: Metrics | undefined, traversal: Traversal): void {
  if (metrics === undefined) return
  const counters = metrics.registerCounterGroup('postern_events_total', {
    label: 'event',
    help: 'Mapping events: mapped, renewed, changed, lost, verified, refuted, failed, released, shared'
  })
  for (const name of events) traversal.addEventListener(name, () => counters.increment({ [name]: true }))
  metrics.registerMetricGroup('postern_verdict', {
    label: 'verdict',
    help: '1 for the current verdict: public, relayed, private or unknown',
    calculate() {
      const { verdict } = traversal.report()
      return Object.fromEntries(
        ['public', 'relayed', 'private', 'unknown'].map((each) => [each, each === verdict ? 1 : 0])
      )
    }
  })
  metrics.registerMetricGroup('postern_candidates', {
    label: 'state',
    help: 'Known external addresses, by state',
    calculate() {
      const { candidates } = traversal.report()
      const count = (state: string): number => candidates.filter((each) => each.state === state).length
      return Object.fromEntries(['claimed', 'consistent', 'verified', 'refuted'].map((state) => [state, count(state)]))
    }
  })
}
