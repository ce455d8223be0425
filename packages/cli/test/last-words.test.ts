import { PassThrough } from 'node:stream'
import { createTraversal, type MappingEvent, type Report } from '@postern/core'
import { expect, it } from 'vitest'
import { doctor } from '../src/commands/doctor/run.js'
import type { Trial } from '../src/commands/doctor/trial.js'
import { createMapVoice } from '../src/commands/map/text.js'
import type { Output } from '../src/shared/output.js'

function screen(): { readonly output: Output; readonly text: () => string } {
  let text = ''
  const out = new PassThrough().on('data', (each: Buffer) => (text += each.toString()))
  return { output: { out, err: new PassThrough().resume() }, text: () => text }
}

const nothing = createTraversal({ strategies: [] }).report()

it('doctor does not report failed hairpinning after an interruption', async () => {
  const report: Report = {
    ...nothing,
    verdict: 'public',
    candidates: [
      {
        address: '/ip4/11.0.0.2/tcp/8080',
        type: 'mapped',
        strategy: 'pcp',
        endpoint: { protocol: 'tcp', address: '192.168.1.2', port: 8080 },
        state: 'consistent',
        expiresAt: null,
        evidence: []
      }
    ]
  }
  const trial: Trial = {
    addEventListener: () => undefined,
    report: () => report,
    recheck: () => undefined,
    firstPass: () => Promise.resolve(),
    start: () => Promise.resolve(),
    witnesses: () => [],
    stop: () => Promise.resolve(),
    arrives() {
      process.emit('SIGINT')
      return new Promise(() => undefined)
    }
  }
  const { output, text } = screen()
  const options = { json: true, dryRun: false, quick: true, via: 'any', port: undefined }
  expect(await doctor({ openTrial: () => Promise.resolve(trial), ...options }, output)).toBe(0)
  await new Promise(setImmediate)
  expect(JSON.parse(text())).toMatchObject({ verdict: 'public', nat: null })
})

it('map names the other process that keeps the mapping at its end', async () => {
  const { output, text } = screen()
  let isOver = false
  const voice = createMapVoice(
    {
      report: () => nothing,
      requestedPort: 8080,
      lowPort: undefined,
      once: false,
      json: false,
      isOver: () => isOver,
      nextSteps: () => []
    },
    output
  )
  const shared: MappingEvent = {
    event: 'shared',
    strategy: 'pcp',
    protocol: 'tcp',
    internal: { address: '192.168.1.2', port: 8080 },
    external: { address: '11.0.0.2', port: 8080 },
    lifetimeSeconds: 7200,
    owners: [{ pid: 4711, program: 'server' }]
  }
  voice.event(shared)
  isOver = true
  voice.event(shared)
  await new Promise(setImmediate)
  expect(text().split('\n')).toEqual([
    '! shared   tcp 192.168.1.2:8080 → 11.0.0.2:8080 with process 4711 (server): the last one that ends gives it back',
    '  kept     tcp 192.168.1.2:8080 → 11.0.0.2:8080: process 4711 (server) uses it',
    ''
  ])
})
