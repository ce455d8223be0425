import type { Report } from '@postern/core'
import { type LeaseBar, type Lifetimes, leaseBars } from '../../src/model/leases.js'
import { formatDuration } from '../../src/model/words.js'

interface LeasesProps {
  readonly report: Report
  readonly lifetimes: Lifetimes
  readonly nowMs: number
}

/** The leases as bars, which run down and are full again after each renewal. */
export function Leases({ report, lifetimes, nowMs }: LeasesProps) {
  const bars = leaseBars(report, lifetimes, nowMs)
  return (
    <section aria-labelledby="leases">
      <h2 id="leases">What is granted</h2>
      {bars.length === 0 && <p class="none">No mapping, no port of another host and no relay.</p>}
      <ul class="leases">
        {bars.map((bar) => (
          <Bar key={bar.address} bar={bar} />
        ))}
      </ul>
    </section>
  )
}

function Bar({ bar: { address, strategy, share, leftMs, totalMs } }: { readonly bar: LeaseBar }) {
  const left = leftMs === null ? 'does not expire' : leftMs === 0 ? 'expired' : `${formatDuration(coarse(leftMs))} left`
  const of = totalMs === null || leftMs === null ? '' : ` of ${formatDuration(coarse(totalMs))}`
  return (
    <li data-share={share ?? 1}>
      <span class="address">{address}</span>
      <span class="left">
        {strategy}: {left}
        {of}
      </span>
      <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">
        <rect class="track" width="100" height="8" />
        <rect class={share === null ? 'full' : 'rest'} width={100 * (share ?? 1)} height="8" />
      </svg>
    </li>
  )
}

/** Whole seconds: the text changes once a second at most. */
const coarse = (ms: number): number => Math.max(1000, Math.round(ms / 1000) * 1000)
