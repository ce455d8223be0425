import { instruments, prometheusLabel, prometheusName } from '@postern/core'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { prometheusSink } from '../../src/shared/prometheus-sink.js'

describe('prometheusSink', () => {
  it('every instrument of the list has its name, its kind and its labels', async () => {
    const registry = new Registry()
    const sink = prometheusSink(registry)
    for (const instrument of Object.values(instruments)) {
      const attributes = Object.fromEntries(instrument.attributes.map(({ name }) => [name, 'x']))
      sink.record(instrument, 1, attributes)
      sink.observe(instrument, () => [{ value: 1, attributes }])
    }
    const text = await registry.metrics()
    for (const instrument of Object.values(instruments)) {
      const name = prometheusName(instrument)
      expect(text).toContain(`# TYPE ${name} ${instrument.kind}\n`)
      const labels = instrument.attributes.map((each) => `${prometheusLabel(each.name)}="x"`).join(',')
      expect(text).toContain(`${name}${instrument.kind === 'histogram' ? '_count' : ''}{${labels}} 1\n`)
    }
  })

  it('the buckets are those of the list', async () => {
    const registry = new Registry()
    prometheusSink(registry).record(instruments.requestDuration, 0.3, { 'postern.strategy': 'pcp' })
    const text = await registry.metrics()
    expect(text).toContain('_bucket{le="0.25",postern_strategy="pcp"} 0\n')
    expect(text).toContain('_bucket{le="0.5",postern_strategy="pcp"} 1\n')
    expect(text.match(/_bucket\{/g)).toHaveLength((instruments.requestDuration.buckets?.length ?? 0) + 1)
  })

  it('an attribute that is not set is no label', async () => {
    const registry = new Registry()
    prometheusSink(registry).record(instruments.lapses, 1, { 'postern.strategy': 'pcp' })
    expect(await registry.metrics()).toContain('postern_lease_lapses_total{postern_strategy="pcp"} 1\n')
  })

  it('a gauge that is read no more has the value 0', async () => {
    const registry = new Registry()
    const stop = prometheusSink(registry).observe(instruments.leases, () => [
      { value: 2, attributes: { 'postern.strategy': 'pcp' } }
    ])
    expect(await registry.metrics()).toContain('postern_lease_count{postern_strategy="pcp"} 2\n')
    stop()
    expect(await registry.metrics()).toContain('postern_lease_count{postern_strategy="pcp"} 0\n')
  })
})
