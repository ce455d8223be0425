import type { Fault } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type Bench, bench, call, entries, external, occupy, ours, request } from './bench.js'

const versions = [1, 2] as const

describe.each(versions)('an IGD:%i', (version) => {
  const igd = async (...faults: readonly Fault[]): Promise<Bench> => {
    const made = await bench({
      gateway: { upnp: { version } },
      prepare: (each) => faults.forEach((one) => each.inject(one))
    })
    await made.clock.advance(100)
    return made
  }

  it('that silently drops leases gets a permanent mapping, and at once the next time', async () => {
    const home = await igd({ kind: 'drops-leases' })
    const lease = await home.map(request)
    expect(lease.lifetimeMs).toBe(1_800_000)
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
    const { requests } = home.gateway.counters.control
    await home.map(request)
    // Read, add, read.
    expect(home.gateway.counters.control.requests - requests).toBe(3)
  })

  it.each<readonly [string, Fault]>([
    ['only-permanent-leases', { kind: 'drops-leases' }],
    ['only-permanent-leases', { kind: 'only-permanent' }]
  ])('is asked in the next run as in the one before (%s, %o)', async (quirk, fault) => {
    const first = await igd(fault)
    const { quirks = [] } = await first.map(request)
    expect(quirks).toEqual([quirk])
    const second = await igd(fault)
    const { requests } = second.gateway.counters.control
    const lease = await second.map({ ...request, quirks: [...quirks, 'a-word-of-another-version'] })
    // Read, add, read.
    expect(second.gateway.counters.control.requests - requests).toBe(3)
    expect(lease.quirks).toEqual([quirk])
  })

  it('that works better than its stored quirks is asked accordingly', async () => {
    const home = await igd({ kind: 'no-permanent' })
    const lease = await home.map({ ...request, quirks: ['only-permanent-leases'] }).catch(() => home.map(request))
    expect(lease.lifetimeMs).toBe(7_200_000)
    expect(lease.quirks).toEqual([])
  })

  it('that lists nothing gets GRANT_INVALID, and forwards nothing afterwards', async () => {
    const home = await igd({ kind: 'unlisted' })
    await expect(home.map(request)).rejects.toMatchObject({ code: 'GRANT_INVALID' })
    expect(entries(home)).toEqual([])
  })

  it.each([402, 501, 606, 716, 899])('that returns %i for a taken port is asked for another port', async (code) => {
    const home = await igd()
    const refuse = (action: string, times: number): void => {
      home.gateway.inject({ kind: 'soap-fault', code, action, times })
    }
    refuse('AddAnyPortMapping', 2)
    refuse('AddPortMapping', 2)
    const lease = await home.map(request)
    expect(lease.addresses[0]).toMatch(/\/tcp\/\d+$/)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each([401, 402, 404, 501, 602])('with a list that always fails with %i still maps', async (code) => {
    const home = await igd()
    for (const action of ['GetSpecificPortMappingEntry', 'GetGenericPortMappingEntry'])
      home.gateway.inject({ kind: 'soap-fault', code, action })
    const lease = await home.map(request)
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each<readonly [string, Fault]>([
    ['refuses to tell', { kind: 'soap-fault', code: 401, action: 'GetExternalIPAddress' }],
    ['wants a login to tell', { kind: 'soap-fault', code: 606, action: 'GetExternalIPAddress' }],
    ['mixes up its faults over', { kind: 'soap-fault', code: 714, action: 'GetExternalIPAddress' }],
    ['knows no path for', { kind: 'http', what: 'empty', status: 404, action: 'GetExternalIPAddress', on: 'control' }],
    ['breaks down over', { kind: 'http', what: 'empty', status: 500, action: 'GetExternalIPAddress', on: 'control' }],
    ['has not built', { kind: 'http', what: 'empty', status: 501, action: 'GetExternalIPAddress', on: 'control' }],
    ['closes the connection over', { kind: 'http', what: 'reset', action: 'GetExternalIPAddress', on: 'control' }],
    ['never answers a question for', { kind: 'http', what: 'hang', action: 'GetExternalIPAddress', on: 'control' }]
  ])('that %s its external address still maps, with a caveat', async (_what, fault) => {
    const home = await igd(fault)
    await home.clock.advance(30_000)
    const lease = await home.map(request)
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
    expect(lease.addresses).toEqual(['/ip4/0.0.0.0/tcp/8080'])
    expect(lease.caveat?.code).toBe('EXTERNAL_ADDRESS_UNKNOWN')
    home.gateway.clearFaults()
    const next = await home.within(lease.renew(call()))
    expect(next.addresses).toEqual([`/ip4/${external}/tcp/8080`])
    expect(next.caveat).toBeUndefined()
    home.gateway.inject(fault)
    const last = await home.within(next.renew(call()))
    expect(last.addresses).toEqual(next.addresses)
    expect(last.caveat?.code).toBe('EXTERNAL_ADDRESS_UNKNOWN')
    await home.within(last.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('with a list that never answers is not asked for it again and again: release takes seconds', async () => {
    const home = await igd({ kind: 'http', what: 'hang', action: 'GetSpecificPortMappingEntry', on: 'control' })
    const lease = await home.within(home.map(request))
    expect(lease.caveat?.code).toBe('GRANT_UNCHECKED')
    const { requests } = home.gateway.counters.control
    await home.within(lease.release(call()), 1000)
    expect(home.gateway.counters.control.requests - requests).toBe(1)
    expect(entries(home)).toEqual([])
  })

  it('that refuses the port yields the entry of an earlier run instead of a second one', async () => {
    const home = await igd({ kind: 'allowed-ports', first: 50_000, last: 65_535 })
    await home.map({ ...request, suggestedExternalPort: 51_111 })
    home.gateway.clearFaults()
    home.gateway.inject({ kind: 'soap-fault', code: 606, action: 'AddPortMapping', times: 1 })
    home.gateway.inject({ kind: 'soap-fault', code: 606, action: 'AddAnyPortMapping', times: 1 })
    const lease = await home.map(request)
    expect(lease.addresses[0]).toMatch(/\/tcp\/51111$/)
    expect(entries(home)).toHaveLength(1)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('that shows no entry to this host still maps, and releases', async () => {
    const home = await igd({ kind: 'soap-fault', code: 606, action: 'GetSpecificPortMappingEntry' })
    const lease = await home.map(request)
    expect(lease.caveat?.code).toBe('GRANT_UNCHECKED')
    expect(entries(home)).toHaveLength(1)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('that maps and never answers is recognised by its list', async () => {
    const home = await igd()
    for (const action of ['AddPortMapping', 'AddAnyPortMapping'])
      home.gateway.inject({ kind: 'http', what: 'hang', action, on: 'control' })
    const lease = await home.map(request)
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('that allows only a range below the dynamic ports is asked for a port of that range', async () => {
    const home = await igd({ kind: 'allowed-ports', first: 10_000, last: 32_767 })
    const lease = await home.map(request)
    expect(Number(lease.addresses[0]?.split('/')[4])).toBeLessThan(32_768)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('that answers with 201 is understood', async () => {
    const home = await igd({ kind: 'http', what: 'status', status: 201 })
    await home.map(request)
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
  })

  it('that returns an invalid external address still maps', async () => {
    const home = await bench({ gateway: { upnp: { version }, externalAddress: 'nonsense' } })
    await home.clock.advance(3000)
    expect((await home.map(request)).caveat?.code).toBe('EXTERNAL_ADDRESS_UNKNOWN')
  })

  it('that maps an internal port only once yields the entry of an earlier run', async () => {
    const home = await igd()
    await home.map({ ...request, suggestedExternalPort: 40_001 })
    home.gateway.inject({ kind: 'one-external-port' })
    const lease = await home.map(request)
    expect(lease.addresses[0]).toMatch(/\/tcp\/40001$/)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('that does not extend a lease gets a new mapping before the old one ends', async () => {
    const home = await igd({ kind: 'unextended' })
    const lease = await home.map(request)
    await home.clock.advance(4_000_000)
    const next = await home.within(lease.renew(call()))
    expect(next.lifetimeMs).toBe(7_200_000)
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
  })

  it('that maps the port to another host is not asked to delete that entry', async () => {
    const home = await igd({ kind: 'drops-leases' })
    home.gateway.clearFaults()
    await occupy(home, '192.168.1.3', 8080)
    home.gateway.inject({ kind: 'drops-leases' })
    const lease = await home.map(request)
    expect(entries(home)).toContain('tcp 8080 192.168.1.3 8080')
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual(['tcp 8080 192.168.1.3 8080'])
  })
})

describe('a host with more than one address', () => {
  it('map sends its requests from the address that is mapped', async () => {
    const from = new Set<string | undefined>()
    const home = await bench({
      wrapHttp: (exchangeHttp) => (exchange, own) => {
        if (exchange.method === 'POST') from.add(exchange.localAddress)
        return exchangeHttp(exchange, own)
      }
    })
    await home.clock.advance(100)
    from.clear()
    const lease = await home.map(request)
    const next = await home.within(lease.renew(call()))
    await home.within(next.release(call()))
    expect([...from]).toEqual([ours])
  })
})

describe('an IGD:2 with a broken AddAnyPortMapping', () => {
  it.each([402, 404, 501, 716])(
    'that fails with %i is asked with AddPortMapping, and at once the next time',
    async (code) => {
      const home = await bench({ gateway: { upnp: { version: 2 } } })
      home.gateway.inject({ kind: 'soap-fault', code, action: 'AddAnyPortMapping' })
      const lease = await home.map(request)
      expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
      await home.within(lease.release(call()))
      await home.map(request)
      expect(home.gateway.counters.control.operations.AddAnyPortMapping).toBe(1)
    }
  )
})

describe('a router that takes one request a second', () => {
  it('and closes the connection of a second one is asked slowly, and maps', async () => {
    const home = await bench({
      prepare: (each) => each.inject({ kind: 'rate-limited', everyMs: 1000, on: ['description', 'control'] })
    })
    await home.clock.advance(2000)
    const lease = await home.map(request)
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
    const { requests } = home.gateway.counters.control
    await home.within(lease.renew(call()))
    // The address, read, add, read: the pace is known now.
    expect(home.gateway.counters.control.requests - requests).toBe(4)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('is distinguished from one with a list that fails at any pace, which is not asked more slowly', async () => {
    const home = await bench()
    home.gateway.inject({
      kind: 'http',
      what: 'empty',
      on: 'control',
      action: 'GetSpecificPortMappingEntry'
    })
    const lease = await home.map(request)
    const { requests } = home.gateway.counters.control
    const beganMs = home.clock.monotonicMs()
    await home.within(lease.renew(call()))
    expect(home.gateway.counters.control.requests - requests).toBe(4)
    expect(home.clock.monotonicMs() - beganMs).toBeLessThan(200)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })
})

describe('a router with leases of some seconds', () => {
  const brief = { kind: 'forgetful', afterMs: 10_000, leasesOnly: true, on: 'control' } as const

  it('gets a permanent mapping, and at once the next time', async () => {
    const home = await bench({ gateway: { upnp: { version: 1 } } })
    await home.clock.advance(100)
    home.gateway.inject(brief)
    const lease = await home.map(request)
    expect(lease.lifetimeMs).toBe(1_800_000)
    await home.clock.advance(60_000)
    expect(entries(home)).toEqual([`tcp 8080 ${ours} 8080`])
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
    const { operations } = home.gateway.counters.control
    const before = operations.AddPortMapping ?? 0
    await home.map(request)
    expect((home.gateway.counters.control.operations.AddPortMapping ?? 0) - before).toBe(1)
  })

  it('and without permanent mappings is asked for one only once', async () => {
    const home = await bench({ gateway: { upnp: { version: 1 } } })
    await home.clock.advance(100)
    home.gateway.inject(brief)
    home.gateway.inject({ kind: 'no-permanent' })
    const lease = await home.map(request)
    expect(lease.lifetimeMs).toBe(10_000)
    const { errors } = home.gateway.counters.control
    expect((await home.within(lease.renew(call()))).lifetimeMs).toBe(10_000)
    expect(home.gateway.counters.control.errors).toBe(errors)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each([
    [15, true],
    [25, false]
  ])(
    'and are shown longer is asked for one without an end after two losses %i minutes apart: %s',
    async (minutes, isKept) => {
      const home = await bench({ gateway: { upnp: { version: 1 } } })
      await home.clock.advance(100)
      home.gateway.inject({ ...brief, afterMs: 120_000 })
      home.gateway.inject({ kind: 'shown-lease', seconds: 7200 })
      let lease = await home.map(request)
      for (let loss = 0; loss < 2; loss += 1) {
        expect(lease.lifetimeMs).toBe(7_200_000)
        await home.clock.advance(minutes * 60_000)
        expect(entries(home)).toEqual([])
        lease = await home.within(lease.renew(call()))
      }
      await home.clock.advance(300_000)
      expect(entries(home)).toEqual(isKept ? [`tcp 8080 ${ours} 8080`] : [])
      await home.within(lease.release(call()))
      expect(entries(home)).toEqual([])
    }
  )
})
