import type { Metrics } from '@libp2p/interface'
import type { Traversal } from '@postern/core'

const events = ['mapped', 'renewed', 'changed', 'lost', 'verified', 'refuted', 'failed', 'released', 'shared'] as const

/** Counts events, and tells verdict and candidates whenever the node's metrics are read. */
export function registerMetrics(metrics: Metrics | undefined, traversal: Traversal): void {
  if (metrics === undefined) return
  const counters = metrics.registerCounterGroup('postern_events_total', {
    label: 'event',
    help: 'What became of mappings: mapped, renewed, changed, lost, verified, refuted, failed, released, shared'
  })
  for (const name of events) traversal.addEventListener(name, () => counters.increment({ [name]: true }))
  metrics.registerMetricGroup('postern_verdict', {
    label: 'verdict',
    help: '1 for what the node is: public, relayed, private or unknown',
    calculate() {
      const { verdict } = traversal.report()
      return Object.fromEntries(
        ['public', 'relayed', 'private', 'unknown'].map((each) => [each, each === verdict ? 1 : 0])
      )
    }
  })
  metrics.registerMetricGroup('postern_candidates', {
    label: 'state',
    help: 'External addresses that are known, by state',
    calculate() {
      const { candidates } = traversal.report()
      const count = (state: string): number => candidates.filter((each) => each.state === state).length
      return Object.fromEntries(['claimed', 'consistent', 'verified', 'refuted'].map((state) => [state, count(state)]))
    }
  })
}
