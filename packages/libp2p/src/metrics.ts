import type { CounterGroup, HistogramGroup, Metrics } from '@libp2p/interface'
import {
  type Attributes,
  createSummedReadings,
  type Instrument,
  instruments,
  type MetricsSink,
  prometheusName,
  type SummedReadings,
  singleLabel
} from '@postern/core'

/**
 * Returns a sink that writes to the metrics of a libp2p node, and registers every instrument of the list at once. The
 * names are those in Prometheus. libp2p has one label for each metric: where an instrument has several attributes, their
 * values stand in one label, with `/` between them.
 */
export function libp2pMetrics(metrics: Metrics): MetricsSink {
  const recorders = new Map<string, (value: number, label: string) => void>()
  const gauges = new Map<string, SummedReadings>()
  for (const instrument of Object.values(instruments)) {
    const name = prometheusName(instrument)
    const options = { label: singleLabel(instrument), help: instrument.description }
    if (instrument.kind === 'counter') {
      const group: CounterGroup<string> = metrics.registerCounterGroup(name, options)
      recorders.set(name, (value, label) => group.increment({ [label]: value }))
    } else if (instrument.kind === 'histogram') {
      const buckets = [...(instrument.buckets ?? [])]
      const group: HistogramGroup<string> = metrics.registerHistogramGroup(name, { ...options, buckets })
      recorders.set(name, (value, label) => group.observe({ [label]: value }))
    } else {
      const readings = createSummedReadings()
      gauges.set(name, readings)
      metrics.registerMetricGroup(name, {
        ...options,
        calculate: () =>
          Object.fromEntries(
            readings.read().map(({ value, attributes }) => [labelValue(instrument, attributes), value])
          )
      })
    }
  }
  return {
    record: (instrument, value, attributes) =>
      recorders.get(prometheusName(instrument))?.(value, labelValue(instrument, attributes)),
    observe: (instrument, read) => gauges.get(prometheusName(instrument))?.add(read) ?? (() => undefined)
  }
}

const labelValue = ({ attributes: all }: Instrument, attributes: Attributes): string =>
  all.map(({ name }) => attributes[name] ?? '').join('/')
