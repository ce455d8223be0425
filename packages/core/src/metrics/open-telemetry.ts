import { instruments } from './instruments.js'
import type { Attributes, MetricsSink } from './sink.js'
import { createSummedReadings, type SummedReadings } from './summed-readings.js'

/** A `Meter` of `@opentelemetry/api`, as far as it is needed. This package does not depend on that one. */
export interface OpenTelemetryMeter {
  /** Creates a counter. */
  createCounter(
    name: string,
    options?: MeterOptions
  ): {
    /** Adds to the sum. */
    add(value: number, attributes?: MeterAttributes): void
  }
  /** Creates a histogram. */
  createHistogram(
    name: string,
    options?: MeterOptions & { advice?: { explicitBucketBoundaries?: number[] } }
  ): {
    /** Adds a value to the distribution. */
    record(value: number, attributes?: MeterAttributes): void
  }
  /** Creates an instrument that is read when the numbers are collected. */
  createObservableUpDownCounter(name: string, options?: MeterOptions): ObservableCounter
}

/** How an instrument is described to OpenTelemetry. */
export interface MeterOptions {
  description?: string
  unit?: string
}

/** Attributes as OpenTelemetry takes them. */
export type MeterAttributes = Record<string, string>

/** Called when the numbers are collected. */
export type MeterCallback = (result: { observe(value: number, attributes?: MeterAttributes): void }) => void

/** An instrument that is read when the numbers are collected. */
export interface ObservableCounter {
  /** Adds a function that reads it. */
  addCallback(callback: MeterCallback): void
}

/**
 * Returns a sink that writes to OpenTelemetry: `openTelemetryMetrics(metrics.getMeter('postern'))`, with `metrics` of
 * `@opentelemetry/api`. Creates every instrument of the list at once. The names, units and attributes are those of the
 * list.
 *
 * Throws a TypeError if the value is not a meter.
 */
export function openTelemetryMetrics(meter: OpenTelemetryMeter): MetricsSink {
  checkMeter(meter)
  const recorders = new Map<string, (value: number, attributes: Attributes) => void>()
  const gauges = new Map<string, SummedReadings>()
  for (const { name, kind, description, unit, buckets = [] } of Object.values(instruments)) {
    if (kind === 'counter') {
      const counter = meter.createCounter(name, { description, unit })
      recorders.set(name, (value, attributes) => counter.add(value, { ...attributes }))
    } else if (kind === 'histogram') {
      const advice = { explicitBucketBoundaries: [...buckets] }
      const histogram = meter.createHistogram(name, { description, unit, advice })
      recorders.set(name, (value, attributes) => histogram.record(value, { ...attributes }))
    } else {
      gauges.set(name, createGauge(meter.createObservableUpDownCounter(name, { description, unit })))
    }
  }
  return {
    record: ({ name }, value, attributes) => recorders.get(name)?.(value, attributes),
    observe: ({ name }, read) => gauges.get(name)?.add(read) ?? (() => undefined)
  }
}

function createGauge(observable: ObservableCounter): SummedReadings {
  const readings = createSummedReadings()
  observable.addCallback((result) => {
    for (const { value, attributes } of readings.read()) result.observe(value, { ...attributes })
  })
  return readings
}

function checkMeter(meter: OpenTelemetryMeter): void {
  const { createCounter, createHistogram, createObservableUpDownCounter }: Partial<OpenTelemetryMeter> = Object(meter)
  const parts: readonly unknown[] = [createCounter, createHistogram, createObservableUpDownCounter]
  if (parts.every((part) => typeof part === 'function')) return
  throw new TypeError("not a meter of OpenTelemetry: pass metrics.getMeter('postern') of @opentelemetry/api")
}
