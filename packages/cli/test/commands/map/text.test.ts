import { PassThrough } from 'node:stream'
import { createTraversal, type MappingEvent } from '@postern/core'
import { expect, it } from 'vitest'
import { createMapVoice } from '../../../src/commands/map/text.js'
import type { Output } from '../../../src/shared/output.js'

function screen(): { readonly output: Output; readonly text: () => string } {
  let text = ''
  const out = new PassThrough().on('data', (each: Buffer) => (text += each.toString()))
  return { output: { out, err: new PassThrough().resume() }, text: () => text }
}

const nothing = createTraversal({ strategies: [] }).report()

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
      nextSteps: () => [],
      webAddress: () => undefined
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

it('map says why the other host did not give a port below 1024', async () => {
  const { output, text } = screen()
  const voice = createMapVoice(
    {
      report: () => ({
        ...nothing,
        candidates: [
          {
            address: '/ip4/21.0.0.1/tcp/33513',
            type: 'relayed',
            strategy: 'ssh',
            endpoint: null,
            state: 'consistent',
            expiresAt: null,
            evidence: [],
            relay: { party: '21.0.0.1:22', network: '21.0.0.0/16' }
          }
        ]
      }),
      requestedPort: 80,
      lowPort: undefined,
      once: false,
      json: false,
      isOver: () => false,
      nextSteps: () => [],
      webAddress: () => undefined
    },
    output
  )
  voice.event({
    event: 'mapped',
    strategy: 'ssh',
    protocol: 'tcp',
    internal: { address: '127.0.0.1', port: 80 },
    external: { address: '21.0.0.1', port: 33513 },
    lifetimeSeconds: null
  })
  voice.finish()
  await new Promise(setImmediate)
  expect(text()).toContain(
    'port 80 was asked for, and the other host gave port 33513: most hosts give ports below 1024 to root only'
  )
})
