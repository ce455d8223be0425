import type { Behaviour } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { discoverBehaviour } from '../src/behaviour.js'
import { discoverLifetime } from '../src/lifetime.js'
import { externalAddress, type NatPlan, ownAddress } from './fake-nat.js'
import { fakeServer, type ServerPlan } from './fake-server.js'
import { alpha, alphaOther, bravo, call, outcome, plainNat, scene } from './scene.js'

const behaviours: readonly Behaviour[] = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent']
const plans = behaviours.flatMap((mapping) => behaviours.map((filtering) => ({ mapping, filtering })))
const mapped = { address: externalAddress, port: 40_000 }

async function look(plan: NatPlan, server: ServerPlan = { other: alphaOther }, options: object = {}) {
  const { clock, nat } = scene(plan)
  const fake = fakeServer(nat, alpha, server)
  const { tap } = nat.lend(6000)
  const { openUdp } = nat
  const end = await outcome(clock, discoverBehaviour({ clock, tap, server: alpha, openUdp, ...options }, call()))
  expect(clock.pending).toBe(0)
  expect(nat.openSockets).toBe(1)
  return { ...end, nat, fake }
}

describe('discoverBehaviour with a server with two addresses', () => {
  it.each(plans)(
    'discoverBehaviour finds mapping $mapping and filtering $filtering',
    async ({ mapping, filtering }) => {
      const { value, fake } = await look({ mapping, filtering })
      const hairpin = mapping === 'endpoint-independent' ? { hairpin: 'fails' } : {}
      expect(value).toEqual({ mapped, other: alphaOther, mapping, filtering, ...hairpin })
      expect(fake.violations).toEqual([])
    }
  )

  it.each(behaviours)('discoverBehaviour finds working hairpinning with filtering %s', async (filtering) => {
    const { value } = await look({ mapping: 'endpoint-independent', filtering, hairpin: true })
    expect(value?.hairpin).toBe('works')
  })

  it('discoverBehaviour ends within 5 s', async () => {
    const { tookMs } = await look(plainNat)
    expect(tookMs).toBeLessThan(5000)
  })

  it('discoverBehaviour runs only the requested tests', async () => {
    const { value, nat } = await look(plainNat, { other: alphaOther }, { filtering: false, hairpin: false })
    expect(value).toEqual({ mapped, other: alphaOther, mapping: 'endpoint-independent' })
    expect(nat.sent).toEqual(['21.0.0.1:3478', '21.0.0.2:3478'])
  })

  it('discoverBehaviour does not test hairpinning without a NAT', async () => {
    const { clock, nat } = scene({ mapping: 'endpoint-independent', filtering: 'endpoint-independent' })
    const lent = nat.lend(6000).tap
    const tap = { ...lent, endpoint: { ...lent.endpoint, address: externalAddress, port: 40_000 } }
    fakeServer(nat, alpha, { other: alphaOther })
    const { value } = await outcome(clock, discoverBehaviour({ clock, tap, server: alpha }, call()))
    const mapping = 'endpoint-independent'
    expect(value).toEqual({ mapped, other: alphaOther, mapping, filtering: mapping })
  })
})

describe('nothing is concluded from a server', () => {
  const elsewhere = (claims: { address: string; port: number }): ServerPlan => ({ claims })

  it('discoverBehaviour resolves to the address only for a server with one address', async () => {
    expect((await look(plainNat, {})).value).toEqual({ mapped })
  })

  it.each([
    ['of loopback', { address: '127.0.0.1', port: 22 }],
    ['of our network', { address: '192.168.1.1', port: 53 }],
    ['that is its own', { address: alpha.address, port: 3479 }],
    ['on its own port', { address: '21.0.0.2', port: 3478 }],
    ['without a port', { address: '21.0.0.2', port: 0 }],
    ['that is a group', { address: '239.255.255.250', port: 1900 }]
  ])('discoverBehaviour sends nothing to a claimed second address %s', async (_, claims) => {
    const { value, nat } = await look(plainNat, elsewhere(claims))
    expect(value).toEqual({ mapped })
    expect(new Set(nat.sent)).toEqual(new Set(['21.0.0.1:3478']))
  })

  it("discoverBehaviour sends few datagrams to another host's address that the server claims, and leaves the filtering unknown", async () => {
    const { value, nat } = await look(plainNat, elsewhere({ address: bravo.address, port: 3479 }), { requests: 4 })
    expect(value).toEqual({ mapped, other: { address: bravo.address, port: 3479 } })
    expect(nat.sent.filter((to) => to.startsWith(bravo.address)).length).toBeLessThanOrEqual(4)
  })

  it.each(['error', 'plain'] as const)(
    'that does not change its address (%s): no filtering is told',
    async (ignoresChange) => {
      const plan = { mapping: 'endpoint-independent', filtering: 'endpoint-independent' } as const
      const { value } = await look(plan, { other: alphaOther, ignoresChange })
      expect(value?.filtering).toBeUndefined()
      expect(value?.mapping).toBe('endpoint-independent')
    }
  )

  it('discoverBehaviour ends with a server that stalls', async () => {
    const { clock, nat } = scene()
    const { tap } = nat.lend(6000)
    const end = await outcome(clock, discoverBehaviour({ clock, tap, server: alpha, requests: 4 }, call()))
    expect(end).toMatchObject({ code: 'NO_REPLY', tookMs: 7500 })
  })
})

it('discoverBehaviour ends at once and leaves nothing behind if it is aborted at any moment', async () => {
  for (let ms = 0; ms < 5000; ms += 90) {
    const { clock, nat } = scene({ ...plainNat, hairpin: true })
    fakeServer(nat, alpha, { other: alphaOther })
    const cut = new AbortController()
    const reason = new Error('enough')
    const { openUdp } = nat
    const looking = discoverBehaviour({ clock, tap: nat.lend(6000).tap, server: alpha, openUdp }, cut)
    const end = looking.then(
      () => 'over',
      (error: unknown) => error
    )
    await clock.advance(ms)
    cut.abort(reason)
    expect(['over', reason]).toContain(await end)
    await clock.advance(100)
    expect([clock.pending, nat.openSockets]).toEqual([0, 1])
  }
})

describe('discoverLifetime', () => {
  const find = async (lifetimeMs: number, server: ServerPlan = {}) => {
    const { clock, nat } = scene({ ...plainNat, lifetimeMs })
    fakeServer(nat, alpha, server)
    const options = { clock, server: alpha, address: ownAddress, family: 4, openUdp: nat.openUdp } as const
    const end = await outcome(clock, discoverLifetime(options, call()), 4_000_000)
    expect([clock.pending, nat.openSockets]).toEqual([0, 0])
    return end
  }

  it.each([31_000, 65_000, 130_000])('discoverLifetime finds %d ms with a precision of 10 s', async (lifetimeMs) => {
    const { value } = await find(lifetimeMs)
    expect(value?.atLeastMs).toBeLessThanOrEqual(lifetimeMs)
    expect(value?.lessThanMs).toBeGreaterThanOrEqual(lifetimeMs - 100)
    expect((value?.lessThanMs ?? 0) - (value?.atLeastMs ?? 0)).toBeLessThanOrEqual(10_000)
  })

  it('discoverLifetime reports Infinity for a mapping that outlasts five minutes', async () => {
    expect((await find(1e9)).value).toEqual({ atLeastMs: 300_000, lessThanMs: Number.POSITIVE_INFINITY })
  })

  it.each(['error', 'plain'] as const)(
    'discoverLifetime rejects with UNSUPPORTED for a server without RESPONSE-PORT (%s)',
    async (ignoresChange) => {
      expect(await find(60_000, { ignoresChange })).toMatchObject({ code: 'UNSUPPORTED' })
    }
  )
})
