import { mappingEventNames } from '../model/events.js'
import type { LeaseEvent } from '../model/lease-event.js'
import {
  candidateStates,
  candidateTypes,
  evidenceOutcomes,
  type PeerReport,
  type Report,
  verdicts
} from '../model/report.js'
import type { RequestEvent } from '../model/request-event.js'
import { instruments } from './instruments.js'
import type { MetricsSink, MetricsSource, Reading } from './sink.js'
import { createStrategyLabels } from './strategy-labels.js'

/** A recording that runs. */
export interface MetricsRecording {
  /** Removes every listener, and ends the reading of gauges. Counters keep what they have counted. Idempotent. */
  stop(): void
  /** Like `stop()`, for `using`. */
  [Symbol.dispose](): void
}

/**
 * Writes the numbers of a source to a sink, from now on: requests, leases, events, votes and upgrades as they happen, and
 * the verdict, the leases and the candidates when they are asked for. To miss nothing, call it before `start()`, or
 * give the sink to `expose()` or `natTraversal()` as `metrics`.
 *
 * Throws a TypeError for an invalid source or sink. An exception in `record()` of the sink is ignored, so that a lost number
 * does not end the program.
 */
export function recordMetrics(source: MetricsSource, given: MetricsSink): MetricsRecording {
  checkSource(source)
  checkSink(given)
  const sink = withoutErrors(given)
  const labelOf = createStrategyLabels()
  const ended = new AbortController()
  const { signal } = ended

  source.addEventListener('request', ({ detail }) => recordRequest(sink, labelOf, detail), { signal })
  source.addEventListener('lease', ({ detail }) => recordLease(sink, labelOf, detail), { signal })
  source.addEventListener('upgrade', ({ detail }) => recordUpgrade(sink, labelOf, detail), { signal })
  for (const name of mappingEventNames) {
    const attributes = { 'postern.event': name }
    source.addEventListener(name, () => sink.record(instruments.mappingEvents, 1, attributes), { signal })
  }
  const stops = [
    sink.observe(instruments.leases, () => leasesOf(source.report(), labelOf)),
    sink.observe(instruments.verdict, () => verdictOf(source.report())),
    sink.observe(instruments.candidates, () => candidatesOf(source.report()))
  ]
  const stop = (): void => {
    ended.abort()
    for (const end of stops.splice(0)) end()
  }
  return { stop, [Symbol.dispose]: stop }
}

const withoutErrors = (sink: MetricsSink): MetricsSink => ({
  record(...args) {
    try {
      sink.record(...args)
    } catch {
      // The number is lost.
    }
  },
  observe: (...args) => sink.observe(...args)
})

type LabelOf = (strategy: string) => string

function recordRequest(sink: MetricsSink, labelOf: LabelOf, request: RequestEvent): void {
  const { verb, outcome, code, durationMs, vote } = request
  const strategy = { 'postern.strategy': labelOf(request.strategy) }
  const attributes = { ...strategy, 'postern.verb': verb, 'postern.outcome': outcome, ...errorType(code) }
  sink.record(instruments.requestDuration, durationMs / 1000, attributes)
  // A strategy of another author may return anything.
  if (vote !== undefined && evidenceOutcomes.includes(vote))
    sink.record(instruments.votes, 1, { ...strategy, 'postern.vote': vote })
}

function recordLease(sink: MetricsSink, labelOf: LabelOf, { strategy, change, code }: LeaseEvent): void {
  const attributes = { 'postern.strategy': labelOf(strategy) }
  if (change === 'granted') sink.record(instruments.grants, 1, attributes)
  if (change === 'renewed') sink.record(instruments.renewals, 1, attributes)
  if (change === 'lapsed') sink.record(instruments.lapses, 1, { ...attributes, ...errorType(code) })
}

function recordUpgrade(sink: MetricsSink, labelOf: LabelOf, { strategy, state }: PeerReport): void {
  if (state !== 'direct' && state !== 'failed') return
  sink.record(instruments.upgrades, 1, { 'postern.strategy': labelOf(strategy), 'postern.upgrade': state })
}

const errorType = (code: string | null): Readonly<Record<string, string>> =>
  code === null ? {} : { 'error.type': code }

/** Returns the living leases of each strategy, and 0 for one that has none. */
function leasesOf({ strategies }: Report, labelOf: LabelOf): readonly Reading[] {
  const counts = new Map<string, number>()
  for (const { name, leases = 0 } of strategies) {
    const label = labelOf(name)
    counts.set(label, (counts.get(label) ?? 0) + leases)
  }
  return [...counts].map(([label, value]) => ({ value, attributes: { 'postern.strategy': label } }))
}

const verdictOf = ({ verdict }: Report): readonly Reading[] =>
  verdicts.map((each) => ({ value: each === verdict ? 1 : 0, attributes: { 'postern.verdict': each } }))

const candidatesOf = ({ candidates }: Report): readonly Reading[] =>
  candidateTypes.flatMap((type) =>
    candidateStates.map((state) => ({
      value: candidates.filter((each) => each.type === type && each.state === state).length,
      attributes: { 'postern.candidate.type': type, 'postern.candidate.state': state }
    }))
  )

function checkSource(source: MetricsSource): void {
  const { addEventListener, report }: Partial<MetricsSource> = Object(source)
  if ([addEventListener, report].every((part) => typeof part === 'function')) return
  throw new TypeError('give a traversal, an exposure or node.services.nat, with report() and addEventListener()')
}

/** Throws a TypeError if the value is not a sink. */
function checkSink(sink: MetricsSink): void {
  const { record, observe }: Partial<MetricsSink> = Object(sink)
  if ([record, observe].every((part) => typeof part === 'function')) return
  throw new TypeError('metrics has no record() and observe(): pass a sink, such as openTelemetryMetrics(meter)')
}
