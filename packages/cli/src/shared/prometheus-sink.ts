import {
  createSummedReadings,
  instruments,
  type MetricsSink,
  prometheusLabel,
  prometheusName,
  type SummedReadings
} from '@postern/core'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

type Labels = Readonly<Record<string, string>>

/** Returns a sink that writes to a registry of Prometheus, and registers every instrument of the list at once. */
export function prometheusSink(registry: Registry): MetricsSink {
  const registers = [registry]
  const recorders = new Map<string, (value: number, labels: Labels) => void>()
  const gauges = new Map<string, SummedReadings>()
  for (const instrument of Object.values(instruments)) {
    const { kind, attributes, buckets = [], description: help } = instrument
    const name = prometheusName(instrument)
    const labelNames = attributes.map((each) => prometheusLabel(each.name))
    if (kind === 'counter') {
      const counter = new Counter({ name, help, labelNames, registers })
      recorders.set(instrument.name, (value, labels) => counter.inc(labels, value))
    } else if (kind === 'histogram') {
      const histogram = new Histogram({ name, help, labelNames, buckets: [...buckets], registers })
      recorders.set(instrument.name, (value, labels) => histogram.observe(labels, value))
    } else {
      gauges.set(instrument.name, createGauge({ name, help, labelNames, registers }))
    }
  }
  return {
    record: ({ name }, value, attributes) => recorders.get(name)?.(value, labelsOf(attributes)),
    observe: ({ name }, read) => gauges.get(name)?.add(read) ?? (() => undefined)
  }
}

/** Creates a gauge that is read when Prometheus asks. */
function createGauge(options: {
  readonly name: string
  readonly help: string
  readonly labelNames: string[]
  readonly registers: Registry[]
}): SummedReadings {
  const readings = createSummedReadings()
  const gauge: Gauge = new Gauge({
    ...options,
    collect() {
      gauge.reset()
      for (const { value, attributes } of readings.read()) gauge.set(labelsOf(attributes), value)
    }
  })
  return readings
}

const labelsOf = (attributes: Labels): Record<string, string> =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [prometheusLabel(name), value]))
