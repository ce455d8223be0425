import type { Finding, Lease, Mapper, MapRequest } from '@postern/interface'
import {
  createGateway,
  type FakeGateway,
  type GatewayOptions,
  memoryNetwork,
  type VirtualClock,
  virtualClock
} from '@postern/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { natPmp } from '../src/index.js'

const gatewayAddress = '192.168.1.1'
const ours = '192.168.1.2'
const network = { gateways: [{ address: gatewayAddress, interface: 'eth0', localAddress: ours }], addresses: [ours] }
const request: MapRequest = {
  endpoint: { protocol: 'tcp', family: 4, address: ours, port: 8080 },
  suggestedExternalPort: 8080,
  lifetimeMs: 7_200_000,
  key: new Uint8Array(16)
}

interface Bench {
  readonly clock: VirtualClock
  readonly gateway: FakeGateway
  readonly found: readonly Finding[]
  readonly openSockets: () => number
  readonly mapper: () => Mapper
  readonly codes: () => readonly string[]
  readonly stop: () => Promise<void>
}

const benches = new Set<Bench>()
afterEach(async () => {
  for (const each of benches) {
    await each.stop()
    expect(each.openSockets()).toBe(0)
    expect(each.clock.pending).toBe(0)
    expect(each.gateway.violations).toEqual([])
  }
  benches.clear()
})

/** A host and a router on one virtual link, with a running discovery. */
function bench(prepare: (gateway: FakeGateway) => void = () => undefined, options: GatewayOptions = {}): Bench {
  const clock = virtualClock()
  const link = memoryNetwork({ clock })
  const gateway = createGateway({ clock, externalAddress: '11.0.0.2', ...options })
  link.attach(gateway, gatewayAddress)
  prepare(gateway)
  const found: Finding[] = []
  const end = new AbortController()
  const log = { debug: () => undefined, info: () => undefined }
  const discovery = natPmp({ openUdp: link.host(ours).openUdp })({ clock, random: () => 0.5, log })
  const running = discovery.discover(network, (finding) => found.push(finding), end)
  const result: Bench = {
    clock,
    gateway,
    found,
    openSockets: () => link.openSockets,
    mapper() {
      const mapper = found.find((finding) => finding.kind === 'mapper')
      if (mapper?.kind !== 'mapper') throw new Error('no mapper was found')
      return mapper
    },
    codes: () =>
      found.flatMap((finding) => (finding.kind === 'notice' && finding.what === 'absent' ? [finding.reason.code] : [])),
    async stop() {
      end.abort()
      await clock.advance(0)
      await running
    }
  }
  benches.add(result)
  return result
}

const call = (): { signal: AbortSignal } => ({ signal: new AbortController().signal })

/** Advances the clock until a promise is settled. */
async function within<T>(clock: VirtualClock, work: Promise<T>, ms = 200_000): Promise<T> {
  let done = false
  const settled = work.finally(() => {
    done = true
  })
  settled.catch(() => undefined)
  for (let passed = 0; !done && passed <= ms; passed += 250) await clock.advance(passed === 0 ? 0 : 250)
  return settled
}

async function mapped(prepare?: (gateway: FakeGateway) => void): Promise<Bench & { readonly lease: Lease }> {
  const each = bench(prepare)
  await each.clock.advance(0)
  return { ...each, lease: await within(each.clock, each.mapper().map(request, call())) }
}

describe('discovery', () => {
  it('natPmp finds the gateway with one request that changes nothing', async () => {
    const { clock, gateway, found, mapper } = bench()
    await clock.advance(0)
    expect(found).toHaveLength(1)
    expect(mapper()).toMatchObject({ family: 4, protocols: ['tcp', 'udp'], gateway: network.gateways[0] })
    expect(gateway.counters['nat-pmp']).toMatchObject({ requests: 1, maps: 0 })
  })

  it('natPmp sends nine times with doubling waits, and reports absence after 750 ms', async () => {
    const { clock, gateway, codes } = bench((each) => each.inject({ kind: 'silent' }))
    const sentAt: number[] = []
    for (let seconds = 0; seconds < 130_000; seconds += 250) {
      await clock.advance(seconds === 0 ? 0 : 250)
      if (seconds === 500) expect(codes()).toEqual([])
      if (seconds === 750) expect(codes()).toEqual(['NO_REPLY'])
      while (sentAt.length < gateway.counters['nat-pmp'].requests) sentAt.push(clock.monotonicMs())
    }
    expect(sentAt).toEqual([0, 250, 750, 1750, 3750, 7750, 15_750, 31_750, 63_750])
  })

  it('natPmp reports another host that answers instead of the gateway, and sends it nothing', async () => {
    const { clock, gateway, found, codes } = bench((each) => each.inject({ kind: 'wrong-source', what: 'address' }))
    await clock.advance(800)
    expect(codes()).toEqual(['NO_REPLY'])
    expect(found.flatMap((each) => (each.kind === 'mapper' ? (each.gateway?.address ?? '') : []))).toHaveLength(1)
    expect(gateway.counters['nat-pmp'].requests).toBe(3)
  })

  it('natPmp reports absence at once for a closed port', async () => {
    const { clock, codes } = bench((each) => each.inject({ kind: 'refuse' }))
    await clock.advance(0)
    expect(codes()).toEqual(['REFUSED'])
  })

  it('natPmp asks a router that announces itself later', async () => {
    const { clock, gateway, found, mapper } = bench((each) => each.inject({ kind: 'refuse' }))
    await clock.advance(0)
    gateway.clearFaults()
    gateway.announce()
    await clock.advance(0)
    expect(mapper().kind).toBe('mapper')
    expect(found).toHaveLength(2)
  })

  it('natPmp asks at most once a second during a flood of announcements', async () => {
    const { clock, gateway } = bench()
    await clock.advance(0)
    for (let count = 0; count < 500; count++) gateway.announce()
    await clock.advance(2000)
    expect(gateway.counters['nat-pmp'].requests).toBeLessThanOrEqual(4)
  })

  it('natPmp reports a restart that the epoch shows, and a new external address', async () => {
    const { clock, gateway, found } = bench((each) => void each, { epochSeconds: 5000 })
    await clock.advance(0)
    await clock.advance(10_000)
    gateway.setExternalAddress('11.0.0.3')
    gateway.announce()
    await clock.advance(5000)
    gateway.reboot()
    gateway.announce()
    await clock.advance(5000)
    const notices = found.flatMap((finding) => (finding.kind === 'notice' ? [finding.what] : []))
    expect(notices).toEqual(['address-changed', 'restarted'])
  })

  it('natPmp reports an announcement after a grant, for any epoch', async () => {
    const { clock, gateway, found } = bench((each) => void each, { epochSeconds: 5000 })
    await clock.advance(0)
    const [mapper] = found
    if (mapper?.kind !== 'mapper') throw new Error('no mapper was found')
    const granted = mapper.map(request, { signal: new AbortController().signal })
    await clock.advance(10_000)
    await granted
    gateway.announce()
    await clock.advance(5000)
    const notices = found.flatMap((finding) => (finding.kind === 'notice' ? [finding.what] : []))
    expect(new Set(notices)).toEqual(new Set(['announced']))
  })
})

describe('a mapping', () => {
  it('map resolves to the granted port and lifetime with the external address', async () => {
    const { lease } = await mapped((gateway) =>
      gateway.inject({ kind: 'grant', externalPort: 9999, lifetimeSeconds: 600 })
    )
    expect(lease.addresses).toEqual(['/ip4/11.0.0.2/tcp/9999'])
    expect(lease.lifetimeMs).toBe(600_000)
  })

  it('renew suggests the assigned port and keeps one mapping', async () => {
    const { clock, gateway, lease } = await mapped()
    await clock.advance(3_600_000)
    const next = await within(clock, lease.renew(call()))
    expect(next.addresses).toEqual(lease.addresses)
    expect(gateway.mappings).toHaveLength(1)
    expect(gateway.counters['nat-pmp']).toMatchObject({ maps: 1, renewals: 1 })
  })

  it('release deletes the mapping once for any number of calls', async () => {
    const { clock, gateway, lease } = await mapped()
    await within(clock, lease.release(call()))
    await within(clock, lease.release(call()))
    expect(gateway.mappings).toEqual([])
    expect(gateway.counters['nat-pmp'].deletes).toBe(1)
  })

  it('map undoes an aborted request within 500 ms', async () => {
    const { clock, gateway, mapper } = bench()
    await clock.advance(0)
    const undo = gateway.inject({ kind: 'silent', carriedOut: true, on: 'nat-pmp', times: 1 })
    const abort = new AbortController()
    const work = mapper().map(request, abort)
    const rejected = work.catch((error: unknown) => error)
    await clock.advance(100)
    expect(gateway.mappings).toHaveLength(1)
    undo()
    abort.abort(new Error('enough'))
    await clock.advance(500)
    expect(await rejected).toMatchObject({ message: 'enough' })
    expect(gateway.mappings).toEqual([])
  })

  it.each([4, 5, 9])('map succeeds with a caveat if the external address is refused with result %i', async (code) => {
    const refuse = (each: FakeGateway): void => void each.inject({ kind: 'result', code, opcode: 0 })
    const { clock, gateway, mapper } = bench(refuse)
    await clock.advance(100)
    const lease = await within(clock, mapper().map(request, call()))
    expect(lease).toMatchObject({ addresses: ['/ip4/0.0.0.0/tcp/8080'], caveat: { code: 'EXTERNAL_ADDRESS_UNKNOWN' } })
    gateway.clearFaults()
    await clock.advance(60_000)
    const next = await within(clock, lease.renew(call()))
    expect(next.addresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    expect(next.caveat).toBeUndefined()
    await within(clock, next.release(call()))
    expect(gateway.mappings).toEqual([])
  })

  it('map rejects with the code of the result', async () => {
    const { clock, gateway, mapper } = bench()
    await clock.advance(0)
    gateway.inject({ kind: 'result', code: 2 })
    await expect(within(clock, mapper().map(request, call()))).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
  })

  it.each([2, 4, 9])('map requests any port, or one hour, after a refusal with %i', async (code) => {
    const { clock, gateway, mapper } = bench()
    await clock.advance(0)
    gateway.inject({ kind: 'refuses', code, port: 8080 })
    const lease = await within(clock, mapper().map(request, call()))
    expect(lease.lifetimeMs).toBe(7_200_000)
    await within(clock, lease.release(call()))
    gateway.clearFaults()
    gateway.inject({ kind: 'refuses', code, aboveSeconds: 3600 })
    const short = await within(clock, mapper().map(request, call()))
    expect(short.lifetimeMs).toBe(3_600_000)
    await clock.advance(1_800_000)
    expect((await within(clock, short.renew(call()))).lifetimeMs).toBe(3_600_000)
    await within(clock, short.release(call()))
    expect(gateway.mappings).toEqual([])
  })

  it.each([
    ['no time', { lifetimeSeconds: 0 }],
    ['no port', { externalPort: 0 }]
  ])('map rejects a grant with %s as GRANT_INVALID', async (_, grant) => {
    const { clock, gateway, mapper } = bench()
    await clock.advance(0)
    gateway.inject({ kind: 'grant', ...grant })
    await expect(within(clock, mapper().map(request, call()))).rejects.toMatchObject({ code: 'GRANT_INVALID' })
  })

  it('map limits a grant of 136 years to the requested lifetime', async () => {
    const { lease } = await mapped((gateway) => gateway.inject({ kind: 'grant', lifetimeSeconds: 2 ** 32 - 1 }))
    expect(lease.lifetimeMs).toBe(request.lifetimeMs)
  })

  it.each(['address', 'port'] as const)('map ignores an answer from another %s', async (what) => {
    const { clock, gateway, mapper } = bench()
    await clock.advance(0)
    gateway.inject({ kind: 'wrong-source', what })
    await expect(within(clock, mapper().map(request, call()))).rejects.toMatchObject({ code: 'NO_REPLY' })
  })

  it.each(['empty', 'one-byte', 'oversized', 'random'] as const)('map ignores %s answers', async (bytes) => {
    const { clock, gateway, mapper } = bench()
    await clock.advance(0)
    gateway.inject({ kind: 'bytes', bytes })
    await expect(within(clock, mapper().map(request, call()))).rejects.toMatchObject({
      code: expect.stringMatching(/^(MALFORMED_REPLY|NO_REPLY|UNSUPPORTED_VERSION)$/)
    })
  })

  it('map succeeds after garbage answers', async () => {
    const { clock, gateway, mapper } = bench()
    await clock.advance(0)
    gateway.inject({ kind: 'bytes', bytes: 'one-byte', times: 2 })
    const lease = await within(clock, mapper().map(request, call()))
    expect(lease.addresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
  })
})

describe('an external address that no router can have', () => {
  it.each(['127.0.0.1', '239.1.1.1', '169.254.1.1', '255.255.255.255'])(
    'map rejects the external address %s as GRANT_INVALID',
    async (externalAddress) => {
      const { clock, gateway, mapper } = bench(undefined, { externalAddress })
      await clock.advance(1000)
      const granting = mapper().map(request, { signal: new AbortController().signal })
      granting.catch(() => undefined)
      await clock.advance(2000)
      await expect(granting).rejects.toMatchObject({ code: 'GRANT_INVALID' })
      expect(gateway.mappings).toEqual([])
    }
  )
})

describe('options', () => {
  it.each([{ gateway: 'router' }, { gateway: '::1' }, { port: 0 }, { port: 65_536 }, { announcementPort: 1.5 }])(
    'natPmp throws a TypeError for %j',
    (options) => {
      expect(() => natPmp(options)).toThrow(TypeError)
    }
  )
})
