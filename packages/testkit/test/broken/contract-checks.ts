import { getEventListeners } from 'node:events'
import {
  type Finding,
  type Host,
  isNatError,
  type Lease,
  type Mapper,
  type MapRequest,
  type Strategy
} from '@postern/interface'
import { expect } from 'vitest'
import { type ReferenceTable, referenceTable, type VirtualClock, virtualClock } from '../../src/index.js'

type Make = (table: ReferenceTable) => Strategy

interface World {
  readonly clock: VirtualClock
  readonly table: ReferenceTable
  readonly host: Host
  readonly lines: string[]
  readonly findings: Finding[]
  readonly discovering: AbortController
  /** Advances virtual time until the promise settles. */
  run<T>(promise: Promise<T>, limitMs?: number): Promise<T>
  outcome(promise: Promise<unknown>, limitMs?: number): Promise<unknown>
}

function createWorld(): World {
  const clock = virtualClock()
  const lines: string[] = []
  const log = { debug: (line: string) => lines.push(line), info: (line: string) => lines.push(line) }
  const run = async <T>(promise: Promise<T>, limitMs = 10_000): Promise<T> => {
    let settled = false
    const settle = (): void => {
      settled = true
    }
    promise.then(settle, settle)
    for (let waited = 0; waited < limitMs; waited += 10) {
      await clock.advance(10)
      if (settled) return promise
    }
    throw new Error(`not settled within ${limitMs} ms`)
  }
  return {
    clock,
    table: referenceTable({ clock }),
    host: { clock, random: () => 0.5, log },
    lines,
    findings: [],
    discovering: new AbortController(),
    run,
    outcome: (promise, limitMs) =>
      run(
        promise.then(
          () => 'resolved',
          (error: unknown) => error
        ),
        limitMs
      )
  }
}

const never = (): AbortSignal => new AbortController().signal

const request = (change: Partial<MapRequest['endpoint']> & Partial<MapRequest> = {}): MapRequest => {
  const { suggestedExternalPort = 8080, lifetimeMs = 7_200_000, key = new Uint8Array(16).fill(7), ...endpoint } = change
  return {
    endpoint: { protocol: 'tcp', family: 4, address: '192.168.1.10', port: 8080, ...endpoint },
    suggestedExternalPort,
    lifetimeMs,
    key
  }
}

async function discovered(world: World, make: Make): Promise<Mapper> {
  const { table, host, findings, discovering, clock } = world
  make(table)(host)
    .discover(table.network, (finding) => findings.push(finding), { signal: discovering.signal })
    .catch(() => undefined)
  for (let waited = 0; waited < 120_000 && findings.length === 0; waited += 1000) await clock.advance(1000)
  const mapper = findings.find((each): each is Mapper => each.kind === 'mapper')
  if (mapper === undefined) throw new Error('found no mapper')
  return mapper
}

async function mapped(world: World, make: Make, change: Parameters<typeof request>[0] = {}): Promise<Lease> {
  const mapper = await discovered(world, make)
  return await world.run(mapper.map(request(change), { signal: never() }))
}

const portOf = (lease: Lease): string | undefined => lease.addresses[0]?.split('/').at(-1)
const addressOf = (lease: Lease): string | undefined => lease.addresses[0]?.split('/')[2]
const commands = ({ table }: World): string[] => table.log.filter((each) => each !== 'probe')

/** A check for each rule of the contract. */
export const checks: Readonly<Record<string, (make: Make, world: World) => Promise<void>>> = {
  'construct-does-nothing': async (make, { table, host }) => {
    make(table)(host)
    expect(table.log).toEqual([])
  },
  'name-is-lower-case': async (make, { table, host }) => {
    expect(make(table)(host).name).toMatch(/^[a-z0-9-]+$/)
  },
  'discover-finds-the-declared-kind': async (make, world) => {
    const mapper = await discovered(world, make)
    expect(make(world.table)(world.host).kind).toBe(mapper.kind)
  },
  'discover-changes-nothing': async (make, world) => {
    await discovered(world, make)
    expect(commands(world)).toEqual([])
  },
  'discover-finds-at-once': async (make, world) => {
    await discovered(world, make)
    expect(world.clock.monotonicMs()).toBeLessThanOrEqual(5000)
  },
  'discover-finds-once': async (make, world) => {
    await discovered(world, make)
    await world.clock.advance(60_000)
    expect(world.findings).toHaveLength(1)
  },
  'discover-finds-nothing-after-abort': async (make, world) => {
    await discovered(world, make)
    world.discovering.abort()
    const before = world.findings.length
    await world.clock.advance(60_000)
    expect(world.findings).toHaveLength(before)
  },
  'discover-settles-on-abort': async (make, { table, host, clock, discovering, outcome }) => {
    const settled = outcome(
      make(table)(host).discover(table.network, () => undefined, { signal: discovering.signal }),
      200_000
    )
    void clock.advance(1000).then(() => discovering.abort())
    await settled
  },
  'discover-holds-no-socket-after-abort': async (make, world) => {
    await discovered(world, make)
    world.discovering.abort()
    await world.clock.advance(1000)
    expect(world.table.openSockets).toBe(0)
  },
  'discover-leaves-no-timer': async (make, world) => {
    await discovered(world, make)
    world.discovering.abort()
    await world.clock.advance(1000)
    expect(world.clock.pending).toBe(0)
  },
  'discover-rejects-with-nat-error': async (make, { table, host, outcome }) => {
    const nowhere = { gateways: [], addresses: [] }
    const error = await outcome(make(table)(host).discover(nowhere, () => undefined, { signal: never() }))
    expect(isNatError(error)).toBe(true)
  },
  'mapper-gateway-is-of-the-network': async (make, world) => {
    const { gateway } = await discovered(world, make)
    expect(world.table.network.gateways).toContainEqual(gateway)
  },
  'map-grants-declared-protocols': async (make, world) => {
    const mapper = await discovered(world, make)
    for (const protocol of mapper.protocols) {
      const lease = await world.run(mapper.map(request({ protocol }), { signal: never() }))
      expect(lease.addresses[0]).toContain(`/${protocol}/`)
    }
  },
  'map-makes-a-rule': async (make, world) => {
    await mapped(world, make)
    expect(world.table.rules).toHaveLength(1)
  },
  'map-takes-its-mapping-back': async (make, world) => {
    const first = await mapped(world, make)
    const [again] = world.findings
    if (again?.kind !== 'mapper') throw new Error('no mapper')
    const second = await world.run(again.map(request(), { signal: never() }))
    expect(portOf(second)).toBe(portOf(first))
  },
  'map-leaves-the-request-alone': async (make, world) => {
    const mapper = await discovered(world, make)
    const asked = request()
    await world.run(mapper.map(asked, { signal: never() }))
    expect(asked).toEqual(request())
  },
  'map-logs-no-key': async (make, world) => {
    await mapped(world, make)
    expect(world.lines.join()).not.toContain('07070707')
  },
  'map-leaves-no-listener': async (make, world) => {
    const mapper = await discovered(world, make)
    const signal = never()
    await world.run(mapper.map(request(), { signal }))
    expect(getEventListeners(signal, 'abort')).toEqual([])
  },
  'map-aborted-before-sends-nothing': async (make, world) => {
    const mapper = await discovered(world, make)
    const before = commands(world)
    await world.outcome(mapper.map(request(), { signal: AbortSignal.abort() }))
    await world.clock.advance(1000)
    expect(commands(world)).toEqual(before)
  },
  'abort-rejects-map': async (make, world) => {
    const { outcome } = await abortedMap(make, world)
    expect(outcome).not.toBe('resolved')
  },
  'abort-keeps-the-reason': async (make, world) => {
    const { outcome, reason } = await abortedMap(make, world)
    if (outcome !== 'resolved') expect(outcome).toBe(reason)
  },
  'abort-undoes-map': async (make, world) => {
    await abortedMap(make, world)
    await world.clock.advance(5000)
    expect(world.table.rules).toEqual([])
  },
  'map-waits-for-a-slow-router': async (make, world) => {
    const mapper = await discovered(world, make)
    world.table.delay(9500)
    const mapping = mapper.map(request(), { signal: never() })
    mapping.catch(() => undefined)
    await world.clock.advance(20_000)
    await expect(mapping).resolves.toBeDefined()
  },
  'undo-deletes-what-map-made': async (make, world) => {
    const mapper = await discovered(world, make)
    await world.run(mapper.map(request(), { signal: never() }))
    const isUndone = await world.run(
      Promise.resolve(mapper.undo?.(request(), { signal: never() })).then(
        () => true,
        () => false
      )
    )
    if (isUndone) expect(world.table.rules).toEqual([])
  },
  'abort-undoes-in-time': async (make, world) => {
    const { tookMs } = await abortedMap(make, world)
    expect(tookMs).toBeLessThanOrEqual(500)
  },
  'map-rejects-with-nat-error': async (make, world) => {
    const mapper = await discovered(world, make)
    world.table.behave('refusing')
    expect(isNatError(await world.outcome(mapper.map(request(), { signal: never() })))).toBe(true)
  },
  'uses-the-clock-of-the-host': async (make, world) => {
    const mapper = await discovered(world, make)
    const real = globalThis.setTimeout
    let used = 0
    globalThis.setTimeout = Object.assign((...args: Parameters<typeof real>) => {
      used += 1
      return real(...args)
    }, real)
    try {
      await world.run(mapper.map(request(), { signal: never() }))
    } finally {
      globalThis.setTimeout = real
    }
    expect(used).toBe(0)
  },
  'lease-has-the-granted-port': async (make, world) => {
    world.table.occupy('tcp', 8080)
    const lease = await mapped(world, make)
    expect(portOf(lease)).toBe('8081')
  },
  'lease-has-the-external-address': async (make, world) => {
    expect(addressOf(await mapped(world, make))).toBe('1.2.3.4')
  },
  'lease-has-the-granted-lifetime': async (make, world) => {
    // The request is for 2 h and the grant is 1 h. A lifetime in seconds has another test.
    expect((await mapped(world, make)).lifetimeMs).toBeLessThanOrEqual(3_600_000)
  },
  'lease-lifetime-is-in-ms': async (make, world) => {
    expect((await mapped(world, make, { lifetimeMs: 1_800_000 })).lifetimeMs).toBeGreaterThanOrEqual(1_000_000)
  },
  'renew-keeps-the-key': async (make, world) => {
    const lease = await mapped(world, make)
    expect(await world.outcome(lease.renew({ signal: never() }))).toBe('resolved')
  },
  'renew-suggests-the-granted-port': async (make, world) => {
    world.table.occupy('tcp', 8080)
    const lease = await mapped(world, make)
    world.table.reboot()
    await world.outcome(lease.renew({ signal: never() }))
    for (const rule of world.table.rules) expect(rule.externalPort).toBe(8081)
  },
  'renew-leaves-the-old-lease-alone': async (make, world) => {
    const lease = await mapped(world, make)
    const before = [lease.lifetimeMs, ...lease.addresses]
    world.table.setExternalAddress('1.2.3.5')
    await world.outcome(lease.renew({ signal: never() }))
    expect([lease.lifetimeMs, ...lease.addresses]).toEqual(before)
  },
  'renew-says-what-was-granted': async (make, world) => {
    const lease = await mapped(world, make)
    const before = addressOf(lease)
    world.table.setExternalAddress('1.2.3.5')
    const outcome = await world.run(lease.renew({ signal: never() }).catch(() => undefined))
    if (outcome !== undefined && before === '1.2.3.4') expect(addressOf(outcome)).toBe('1.2.3.5')
  },
  'renew-rejects-with-nat-error': async (make, world) => {
    const lease = await mapped(world, make)
    world.table.behave('refusing')
    expect(isNatError(await world.outcome(lease.renew({ signal: never() })))).toBe(true)
  },
  'abort-rejects-renew': async (make, world) => {
    const lease = await mapped(world, make)
    world.table.behave('silent')
    const controller = new AbortController()
    const outcome = world.outcome(lease.renew({ signal: controller.signal }))
    controller.abort('enough')
    expect(await outcome).toBe('enough')
  },
  'lease-does-not-renew-itself': async (make, world) => {
    await mapped(world, make)
    const before = commands(world).length
    await world.clock.advance(7_200_000)
    expect(commands(world)).toHaveLength(before)
  },
  'release-leaves-no-timer': async (make, world) => {
    const lease = await mapped(world, make)
    const before = world.clock.pending
    await world.run(lease.release({ signal: never() }))
    await world.clock.advance(1000)
    expect(world.clock.pending).toBeLessThanOrEqual(before)
  },
  'release-removes-the-rule': async (make, world) => {
    const lease = await mapped(world, make)
    await world.outcome(lease.release({ signal: never() }))
    expect(world.table.rules.filter(({ key }) => key === '07'.repeat(16))).toEqual([])
  },
  'release-twice-is-once': async (make, world) => {
    const lease = await mapped(world, make)
    await world.outcome(lease.release({ signal: never() }))
    expect(await world.outcome(lease.release({ signal: never() }))).toBe('resolved')
  },
  'release-removes-nothing-else': async (make, world) => {
    const lease = await mapped(world, make)
    const [mapper] = world.findings
    if (mapper?.kind !== 'mapper') throw new Error('no mapper')
    const other = { port: 9090, suggestedExternalPort: 9090 }
    await world.run(mapper.map(request(other), { signal: never() }))
    await world.outcome(lease.release({ signal: never() }))
    expect(world.table.rules.some(({ internalPort }) => internalPort === 9090)).toBe(true)
  },
  'release-rejects-with-nat-error': async (make, world) => {
    const lease = await mapped(world, make)
    world.table.behave('refusing')
    expect(isNatError(await world.outcome(lease.release({ signal: never() })))).toBe(true)
  },
  'abort-rejects-release': async (make, world) => {
    const lease = await mapped(world, make)
    world.table.behave('silent')
    const controller = new AbortController()
    const outcome = world.outcome(lease.release({ signal: controller.signal }))
    controller.abort('enough')
    expect(await outcome).toBe('enough')
  }
}

/** Maps, and aborts after the request was sent and before the answer arrives. */
async function abortedMap(make: Make, world: World): Promise<{ outcome: unknown; reason: Error; tookMs: number }> {
  const mapper = await discovered(world, make)
  const controller = new AbortController()
  const reason = new Error('the test has had enough')
  const mapping = mapper.map(request(), { signal: controller.signal })
  mapping.catch(() => undefined)
  await world.clock.advance(15)
  controller.abort(reason)
  const before = world.clock.monotonicMs()
  const outcome = await world.outcome(mapping)
  return { outcome, reason, tookMs: world.clock.monotonicMs() - before }
}

/** Resolves with the ids of the checks that a strategy fails. */
export async function failedChecks(make: Make): Promise<string[]> {
  const failed: string[] = []
  for (const [id, check] of Object.entries(checks)) {
    try {
      await check(make, createWorld())
    } catch {
      failed.push(id)
    }
  }
  return failed
}
