import { createServer } from 'node:net'
import { type MetricsSink, memoryStore } from '@postern/core'
import { createGateway, listen } from '@postern/testkit'
import { expect, it, onTestFinished } from 'vitest'
import { expose } from '../src/index.js'

/** A sink that writes down what it is given: `postern.lease.grants pcp`. */
function scribe(): { readonly sink: MetricsSink; readonly lines: string[]; readonly gauges: Set<string> } {
  const lines: string[] = []
  const gauges = new Set<string>()
  const sink: MetricsSink = {
    record: ({ name }, _value, attributes) => void lines.push([name, ...Object.values(attributes)].join(' ')),
    observe({ name }) {
      gauges.add(name)
      return () => void gauges.delete(name)
    }
  }
  return { sink, lines, gauges }
}

it('expose gives its numbers to the sink from the first request to the last, and ends then', async () => {
  const gateway = await listen(createGateway({ externalAddress: '11.0.0.2' }))
  onTestFinished(() => gateway.close())
  const server = createServer().listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  const { sink, lines, gauges } = scribe()
  const strategies = `pcp:${gateway.address}`
  const exposure = await expose(server, { strategies, store: memoryStore(), metrics: sink })
  expect(gauges.size).toBe(3)
  await exposure.close()
  expect(gauges.size).toBe(0)
  expect(lines).toEqual([
    'postern.strategy.request.duration pcp discover success',
    'postern.strategy.request.duration pcp map success',
    'postern.lease.grants pcp',
    'postern.mapping.events mapped',
    'postern.strategy.request.duration pcp release success',
    'postern.mapping.events released'
  ])
})

it('expose rejects with a TypeError for metrics that are no sink', async () => {
  const server = createServer()
  for (const metrics of [{}, { record: () => undefined }, 3, 'otel']) {
    const options = { strategies: 'none', store: memoryStore(), metrics: metrics as never }
    await expect(expose(server, options)).rejects.toThrow(/metrics/)
    await expect(expose(server, options)).rejects.toBeInstanceOf(TypeError)
  }
  expect(server.eventNames().filter((name) => name === 'close')).toEqual([])
})
