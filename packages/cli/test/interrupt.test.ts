import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type EndpointOwners, memoryStore } from '@postern/core'
import type { Lease, Network, Strategy } from '@postern/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { doctor } from '../src/commands/doctor/run.js'
import { plainTrial } from '../src/commands/doctor/trial.js'
import { map } from '../src/commands/map/run.js'
import type { Output } from '../src/shared/output.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** A strategy that maps everything, and counts the mappings that are not released. */
function counted(): { readonly strategy: Strategy; readonly held: () => number; readonly granted: () => number } {
  let held = 0
  let granted = 0
  const grant = (port: number): Lease => ({
    addresses: [`/ip4/203.0.113.7/tcp/${port}`],
    lifetimeMs: 7_200_000,
    renew: async () => grant(port),
    async release() {
      held--
    }
  })
  const strategy: Strategy = () => ({
    name: 'counted',
    async discover(_, found) {
      found({
        kind: 'mapper',
        gateway: null,
        family: 4,
        protocols: ['tcp'],
        async map({ endpoint }) {
          held++
          granted++
          await turn()
          return grant(endpoint.port)
        }
      })
    }
  })
  return { strategy, held: () => held, granted: () => granted }
}

const home = async (): Promise<Network> => ({ gateways: [], addresses: ['192.168.1.2'] })
/** Owners without other programs and without a disk. */
const alone: EndpointOwners = {
  holders: async () => [],
  join: () => ({
    agree: async (_, key) => key,
    holds: () => undefined,
    others: async () => [],
    leave: async () => [],
    end: async () => undefined
  })
}
const silent = (): Output => ({ out: new PassThrough().resume(), err: new PassThrough().resume() })

/** Runs a command, and interrupts it the given number of event loop turns and microtasks after its start. Calls the
 * signal listeners like the process would, but not those of the test runner. */
async function interrupted(
  run: () => Promise<number>,
  name: (typeof signals)[number],
  turns: number,
  microtasks: number
): Promise<number> {
  const before = new Set<unknown>(process.listeners(name))
  const running = run()
  for (let count = 0; count < turns; count++) await turn()
  for (let count = 0; count < microtasks; count++) await Promise.resolve()
  for (const listener of process.listeners(name)) if (!before.has(listener)) listener(name)
  const code = await running
  expect(process.listeners(name).filter((each) => !before.has(each))).toEqual([])
  return code
}

describe('a signal at any moment', { timeout: 60_000 }, () => {
  it('a signal at any moment ends `map`, which has released its mappings', async () => {
    let most = 0
    for (let turns = 0; turns < 20_000; turns += turns < 60 ? 1 : Math.ceil(turns / 10)) {
      const { strategy, held, granted } = counted()
      const options = { via: 'any', asked: [], lifetimeMs: 7_200_000, externalPort: undefined, once: false, json: true }
      const run = (): Promise<number> =>
        map(
          { port: 8080, protocol: 'tcp' },
          { ...options, strategies: [strategy], store: memoryStore(), owners: alone, findNetwork: home },
          silent()
        )
      expect(await interrupted(run, signals[turns % 3] ?? 'SIGINT', turns, turns % 7)).toBe(0)
      expect(held()).toBe(0)
      most = Math.max(most, granted())
    }
    // Otherwise the loop would have ended before anything was mapped.
    expect(most).toBeGreaterThan(0)
  })

  it('a signal at any moment ends `doctor`, which has released its mappings', async () => {
    let most = 0
    for (let turns = 0; turns < 20_000; turns += turns < 60 ? 1 : Math.ceil(turns / 10)) {
      const { strategy, held, granted } = counted()
      const openTrial = plainTrial([strategy], false)
      const run = (): Promise<number> =>
        doctor({ openTrial, json: true, dryRun: false, quick: false, via: 'any', port: undefined }, silent())
      expect([0, 11, 12]).toContain(await interrupted(run, signals[turns % 3] ?? 'SIGINT', turns, turns % 7))
      expect(held()).toBe(0)
      most = Math.max(most, granted())
    }
    expect(most).toBeGreaterThan(0)
  })
})

const bin = fileURLToPath(new URL('../bin/postern.js', import.meta.url))
const peer = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA'
const commands: readonly (readonly [string, number])[] = [
  ['map 8080 --via manual:203.0.113.7:8080', 0],
  ['map 8080/udp --json --via manual:203.0.113.7:8080', 0],
  ['doctor --via none --json', 12],
  ['relay --listen /ip4/127.0.0.1/tcp/0', 0],
  ['node --via none --listen /ip4/127.0.0.1/tcp/0', 0],
  ['tunnel listen 22 --via none', 0],
  [`tunnel connect ${peer} 48213 --via none`, 0]
]

/** Sends the signal some turns after the program has started to listen for it. */
const preload = `
  const { TURNS, SIGNAL } = process.env
  process.on('newListener', (name) => {
    if (name !== SIGNAL || globalThis.isArmed) return
    globalThis.isArmed = true
    let left = Number(TURNS)
    const step = () => (left-- > 0 ? setImmediate(step) : process.kill(process.pid, SIGNAL))
    step()
  })`

async function ended(
  args: readonly string[],
  env: Readonly<Record<string, string>>
): Promise<{ readonly code: unknown; readonly signal: unknown; readonly failure: string | undefined }> {
  const file = join(folder, 'preload.mjs')
  await writeFile(file, preload)
  const child = spawn(process.execPath, ['--import', file, bin, ...args], {
    env: { ...process.env, XDG_STATE_HOME: folder, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'ignore', 'pipe']
  })
  const limit = setTimeout(() => child.kill('SIGKILL'), 15_000)
  let errors = ''
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()))
  const [code, signal] = await once(child, 'close')
  clearTimeout(limit)
  return { code, signal, failure: /Error|failed/.exec(errors)?.[0] }
}

describe('the program ends at a signal', { timeout: 120_000 }, () => {
  it.each(commands)('postern %s ends at a signal at any moment', async (text, code) => {
    for (const [index, turns] of [0, 1, 2, 4, 8, 16, 32, 64, 128].entries()) {
      const name = signals[index % 3] ?? 'SIGINT'
      const { signal, ...outcome } = await ended(text.split(' '), { TURNS: String(turns), SIGNAL: name })
      // The doctor has ended by itself, and the signal came between its last output and the end of the process.
      if (text.startsWith('doctor') && signal === name) continue
      expect({ turns, signal, ...outcome }).toEqual({ turns, signal: null, code, failure: undefined })
    }
  })
})

describe('a closed reader', { timeout: 60_000 }, () => {
  const all = [
    '--help',
    '--version',
    'map --help',
    'doctor --help',
    'relay --help',
    'peer --help',
    'tunnel listen --help',
    'tunnel connect --help',
    'tunnel id',
    'doctor --via none',
    'doctor --via none --json',
    'map 8080 --once --json --via manual:203.0.113.7:8080',
    'no-such-command',
    'map not-a-port'
  ]
  it.each(all)('a closed reader causes no message: postern %s', async (text) => {
    for (const gone of ['stdout', 'stderr'] as const) {
      const child = spawn(process.execPath, [bin, ...text.split(' ')], {
        env: { ...process.env, XDG_STATE_HOME: folder, NO_COLOR: '1' },
        stdio: ['ignore', 'pipe', 'pipe']
      })
      child[gone].destroy()
      let said = ''
      const other = gone === 'stdout' ? child.stderr : child.stdout
      other.on('data', (data: Buffer) => (said += data.toString()))
      const [code, signal] = await once(child, 'close')
      expect(said).not.toMatch(/EPIPE|at .*\.js:\d+/)
      expect(signal).toBe(null)
      expect([0, 1, 2, 12]).toContain(code)
    }
  })
})
