import { PassThrough } from 'node:stream'
import { createTraversal, type Report, systemHost } from '@postern/core'
import { natError, type Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { afterEach, expect, it, vi } from 'vitest'
import { doctor } from '../../../src/commands/doctor/run.js'
import { plainTrial, type Trial } from '../../../src/commands/doctor/trial.js'
import type { Output } from '../../../src/shared/output.js'

function screen(): { readonly output: Output; readonly text: () => string } {
  let text = ''
  const out = new PassThrough().on('data', (each: Buffer) => (text += each.toString()))
  return { output: { out, err: new PassThrough().resume() }, text: () => text }
}

const nothing = createTraversal({ strategies: [] }).report()

const mapped: Report = {
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
const trialWith = (changes: Partial<Trial>): Trial => ({
  addEventListener: () => undefined,
  report: () => mapped,
  recheck: () => undefined,
  settled: () => Promise.resolve(),
  start: () => Promise.resolve(),
  witnesses: () => [],
  stop: () => Promise.resolve(),
  arrives: () => new Promise(() => undefined),
  ...changes
})

afterEach(() => {
  vi.restoreAllMocks()
})

it('doctor requests a mapping that was granted late again in what is left of the 15 s', async () => {
  const clock = virtualClock()
  vi.spyOn(systemHost.clock, 'monotonicMs').mockImplementation(clock.monotonicMs)
  vi.spyOn(systemHost.clock, 'sleep').mockImplementation(clock.sleep)
  const grantedAtMs = 11_000
  let look = (): void => undefined
  let isUp = false
  const trial = trialWith({
    addEventListener: (name, listener) => {
      if (name === 'mapped') look = () => typeof listener === 'function' && listener(new CustomEvent('mapped') as never)
    },
    report() {
      if (clock.monotonicMs() >= grantedAtMs) return mapped
      const waiting = { name: 'upnp', kind: 'mapper', rank: 0, state: 'available', tookMs: 1, reason: null } as const
      return { ...nothing, strategies: [{ ...waiting, waitingFor: 'grant' }] }
    },
    async start() {
      isUp = true
    }
  })
  const options = { json: true, dryRun: false, quick: false, via: 'any', port: undefined }
  let over = false
  const ended = doctor({ openTrial: () => Promise.resolve(trial), ...options }, screen().output).then((code) => {
    over = true
    return code
  })
  await vi.waitUntil(() => isUp)
  while (!over) {
    await clock.advance(500)
    look()
  }
  expect(await ended).toBe(0)
  expect(clock.monotonicMs()).toBeLessThanOrEqual(15_500)
})

it('doctor reaches a final verdict about a router that never answers', async () => {
  const clock = virtualClock()
  vi.spyOn(systemHost.clock, 'monotonicMs').mockImplementation(clock.monotonicMs)
  vi.spyOn(systemHost.clock, 'sleep').mockImplementation(clock.sleep)
  const gateway = { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }
  const silent: Strategy = () => ({
    name: 'silent',
    kind: 'mapper',
    async discover(_network, found, call) {
      found({ kind: 'notice', what: 'absent', gateway, reason: natError('NO_REPLY', 'no answer') })
      await clock.sleep(1e9, call).catch(() => undefined)
    }
  })
  const { output, text } = screen()
  const options = { json: false, dryRun: false, quick: false, via: 'any', port: undefined }
  let over = false
  const ended = doctor(
    {
      async openTrial(network) {
        const trial = await plainTrial([silent], false)(network)
        // Opening the port takes a moment, in which no strategy searches yet.
        return { ...trial, start: () => clock.sleep(100, new AbortController()).then(trial.start) }
      },
      ...options
    },
    output
  ).then(() => {
    over = true
  })
  while (!over) {
    await clock.advance(50)
    await new Promise(setImmediate)
  }
  await ended
  expect(text()).toMatch(/^Verdict: private/m)
  expect(text()).not.toContain('So far')
})

it('doctor does not report failed hairpinning after an interruption', async () => {
  const trial = trialWith({
    arrives() {
      process.emit('SIGINT')
      return new Promise(() => undefined)
    }
  })
  const { output, text } = screen()
  const options = { json: true, dryRun: false, quick: true, via: 'any', port: undefined }
  expect(await doctor({ openTrial: () => Promise.resolve(trial), ...options }, output)).toBe(0)
  await new Promise(setImmediate)
  expect(JSON.parse(text())).toMatchObject({ verdict: 'public', nat: null })
})
