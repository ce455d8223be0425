import { metrics as api } from '@opentelemetry/api'
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { DataPointType, MeterProvider, MetricReader, type ResourceMetrics } from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { instruments, openTelemetryMetrics, prometheusName, recordMetrics } from '../../src/index.js'
import { begin, end, scripted, stage, web } from '../support.js'

/** A reader that collects when a test asks it to. */
class OnDemand extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

function setUp() {
  const reader = new OnDemand()
  const provider = new MeterProvider({ readers: [reader] })
  const collect = async (): Promise<ResourceMetrics> => (await reader.collect()).resourceMetrics
  return { meter: provider.getMeter('postern'), collect, provider }
}

/** Returns the points of an instrument: `{ 'pcp map success': 1 }`; of a histogram, the counts. */
function pointsOf({ scopeMetrics }: ResourceMetrics, name: string): Readonly<Record<string, number>> {
  const metric = scopeMetrics.flatMap((scope) => scope.metrics).find(({ descriptor }) => descriptor.name === name)
  const points =
    metric?.dataPointType === DataPointType.HISTOGRAM
      ? metric.dataPoints.map(({ attributes, value }) => [attributes, value.count] as const)
      : (metric?.dataPoints ?? []).map(({ attributes, value }) => [attributes, Number(value)] as const)
  return Object.fromEntries(points.map(([attributes, value]) => [Object.values(attributes).join(' '), value]))
}

describe('OpenTelemetry', () => {
  it('the SDK collects requests, leases, the verdict and candidates under the names of the list', async () => {
    const { meter, collect, provider } = setUp()
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    recordMetrics(each.traversal, openTelemetryMetrics(meter))
    each.traversal.addEndpoint(web)
    await begin(each)
    const now = await collect()
    expect(pointsOf(now, 'postern.strategy.request.duration')).toEqual({
      'pcp discover success': 1,
      'pcp map success': 1
    })
    expect(pointsOf(now, 'postern.lease.count')).toEqual({ pcp: 1 })
    expect(pointsOf(now, 'postern.lease.grants')).toEqual({ pcp: 1 })
    expect(pointsOf(now, 'postern.mapping.events')).toEqual({ mapped: 1 })
    expect(pointsOf(now, 'postern.reachability.verdict')).toEqual({ public: 1, relayed: 0, private: 0, unknown: 0 })
    expect(pointsOf(now, 'postern.candidate.count')).toMatchObject({ 'mapped consistent': 1, 'relayed verified': 0 })
    await end(each)
    expect(pointsOf(await collect(), 'postern.lease.count')).toEqual({ pcp: 0 })
    await provider.shutdown()
  })

  it('every instrument reaches the SDK with its unit, its description and its buckets', async () => {
    const { meter, collect, provider } = setUp()
    const sink = openTelemetryMetrics(meter)
    for (const instrument of Object.values(instruments)) {
      sink.record(instrument, 1, {})
      sink.observe(instrument, () => [{ value: 1, attributes: {} }])
    }
    const { scopeMetrics } = await collect()
    const described = scopeMetrics
      .flatMap((scope) => scope.metrics)
      .map(({ descriptor: { name, unit, description } }) => ({ name, unit, description }))
    expect(described.toSorted(byName)).toEqual(
      Object.values(instruments)
        .map(({ name, unit, description }) => ({ name, unit, description }))
        .toSorted(byName)
    )
    const durations = scopeMetrics.flatMap((scope) => scope.metrics).find(({ descriptor }) => descriptor.unit === 's')
    expect(durations).toMatchObject({
      dataPoints: [{ value: { buckets: { boundaries: instruments.requestDuration.buckets } } }]
    })
    await provider.shutdown()
  })

  it('the exporter for Prometheus writes the names of the list, without the unit', async () => {
    const { meter, collect, provider } = setUp()
    const sink = openTelemetryMetrics(meter)
    for (const instrument of Object.values(instruments)) {
      sink.record(instrument, 1, { 'error.type': 'NO_REPLY' })
      sink.observe(instrument, () => [{ value: 1, attributes: { 'error.type': 'NO_REPLY' } }])
    }
    const text = new PrometheusSerializer(undefined, false, undefined, true, true).serialize(await collect())
    const names = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`)
    const expected = Object.values(instruments).map((each) => `${prometheusName({ ...each, unit: '' })} ${each.kind}`)
    expect(names.toSorted()).toEqual(expected.toSorted())
    expect(text).toContain('error_type="NO_REPLY"')
    await provider.shutdown()
  })

  it('gauges of two traversals with one sink are added up, and are 0 after both recordings have stopped', async () => {
    const { meter, collect, provider } = setUp()
    const sink = openTelemetryMetrics(meter)
    const stages = [0, 1].map(() => stage((trace, clock) => [scripted('pcp', trace, clock).strategy]))
    const recordings = stages.map(({ traversal }) => recordMetrics(traversal, sink))
    for (const each of stages) {
      each.traversal.addEndpoint(web)
      await begin(each)
    }
    expect(pointsOf(await collect(), 'postern.lease.count')).toEqual({ pcp: 2 })
    expect(pointsOf(await collect(), 'postern.reachability.verdict')).toMatchObject({ public: 2 })
    for (const recording of recordings) recording.stop()
    expect(pointsOf(await collect(), 'postern.lease.count')).toEqual({ pcp: 0 })
    for (const each of stages) await end(each)
    await provider.shutdown()
  })

  it('the meter of the API without an SDK takes everything, and does nothing', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    const recording = recordMetrics(each.traversal, openTelemetryMetrics(api.getMeter('postern')))
    each.traversal.addEndpoint(web)
    await begin(each)
    await end(each)
    recording.stop()
    expect(each.told()).toHaveLength(2)
  })

  it('openTelemetryMetrics throws a TypeError for what is no meter', () => {
    expect(() => openTelemetryMetrics(api as never)).toThrow("pass metrics.getMeter('postern')")
    expect(() => openTelemetryMetrics(undefined as never)).toThrow(TypeError)
  })
})

const byName = (one: { readonly name: string }, other: { readonly name: string }): number =>
  one.name.localeCompare(other.name)
