import type { MapRequest } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { type Bench, bench, call, entries, external, occupy, ours, request } from '../bench.js'

const versions = [1, 2] as const
/** How long map reuses the external address, in ms. */
const freshMs = 10_000
const udp: MapRequest = { ...request, endpoint: { ...request.endpoint, protocol: 'udp' } }

describe.each(versions)('on an IGD:%i', (version) => {
  const igd = async (options: Parameters<typeof bench>[0] = {}): Promise<Bench> => {
    const made = await bench({ ...options, gateway: { ...options.gateway, upnp: { version } } })
    await made.clock.advance(100)
    return made
  }

  it.each([request, udp])('maps, renews and releases', async (wish) => {
    const home = await igd()
    const { protocol } = wish.endpoint
    const lease = await home.map(wish)
    expect(lease).toMatchObject({ addresses: [`/ip4/${external}/${protocol}/8080`], lifetimeMs: 7_200_000 })
    expect(entries(home)).toEqual([`${protocol} 8080 ${ours} 8080`])
    expect(home.gateway.mappings[0]?.description).toBe('postern')

    await home.clock.advance(3_600_000)
    const next = await home.within(lease.renew(call()))
    expect(next).toMatchObject({ addresses: lease.addresses, lifetimeMs: 7_200_000 })
    expect(home.gateway.counters.control).toMatchObject({ maps: 1, renewals: 1 })

    await home.within(next.release(call()))
    await home.within(next.release(call()))
    expect(entries(home)).toEqual([])
    expect(home.gateway.counters.control).toMatchObject({ deletes: 1 })
  })

  it('reads before it adds, after it added and before it deletes', async () => {
    const home = await igd()
    const lease = await home.map(request)
    const reads = (): number | undefined => home.gateway.counters.control.operations.GetSpecificPortMappingEntry
    expect(reads()).toBe(2)
    await home.within(lease.release(call()))
    expect(reads()).toBe(3)
  })

  it.each([
    ['another host', '192.168.1.3', 8080],
    ['another program of this host', ours, 9090]
  ])('keeps the entry of %s and takes another port', async (_name, address, port) => {
    const home = await igd()
    await occupy(home, address, port)
    const lease = await home.map(request)
    expect(lease.addresses[0]).toMatch(/\/tcp\/(49[1-9]|[56]\d\d)\d\d$/)
    expect(entries(home)).toContain(`tcp 8080 ${address} ${port}`)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([`tcp 8080 ${address} ${port}`])
  })

  it('reuses its own entry of an earlier run', async () => {
    const home = await igd()
    await home.map(request)
    const again = await home.map(request)
    expect(again.addresses).toEqual([`/ip4/${external}/tcp/8080`])
    expect(entries(home)).toHaveLength(1)
  })

  it('maps again if the router lost the mapping', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.forget()
    expect((await home.within(lease.renew(call()))).addresses).toEqual(lease.addresses)
    expect(entries(home)).toHaveLength(1)
  })

  it('reports one restart if entries are missing before their end', async () => {
    const home = await igd()
    const leases = [await home.map(request), await home.map(udp)]
    await home.clock.advance(900_000)
    for (const lease of leases) await home.within(lease.renew(call()))
    expect(home.notices()).toEqual([])
    home.gateway.forget()
    await home.clock.advance(900_000)
    for (const lease of leases) await home.within(lease.renew(call()))
    expect(home.notices()).toEqual(['restarted'])
    expect(entries(home)).toHaveLength(2)
  })

  it('renews on another port if another host has taken the port meanwhile', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.forget()
    await occupy(home, '192.168.1.3', 8080)
    const next = await home.within(lease.renew(call()))
    expect(next.addresses).not.toEqual(lease.addresses)
    expect(entries(home)).toContain('tcp 8080 192.168.1.3 8080')
    await home.within(next.release(call()))
    expect(entries(home)).toEqual(['tcp 8080 192.168.1.3 8080'])
  })

  it('does not delete an entry that belongs to another host now', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.forget()
    await occupy(home, '192.168.1.3', 8080)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual(['tcp 8080 192.168.1.3 8080'])
  })

  it('releases a mapping that is gone already', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.forget()
    await home.within(lease.release(call()))
    expect(home.gateway.counters.control.deletes).toBe(0)
  })

  it.each([402, 725] as const)('requests a permanent mapping after fault %i', async (code) => {
    const home = await igd({ prepare: (each) => each.inject({ kind: 'only-permanent', code }) })
    const lease = await home.map(request)
    expect(lease).toMatchObject({ addresses: [`/ip4/${external}/tcp/8080`], lifetimeMs: 1_800_000 })
    const next = await home.within(lease.renew(call()))
    expect(next.lifetimeMs).toBe(1_800_000)
    await home.within(next.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each([718, 729])('takes another port after fault %i', async (code) => {
    const action = version === 1 ? 'AddPortMapping' : 'AddAnyPortMapping'
    const home = await igd({ prepare: (each) => each.inject({ kind: 'soap-fault', code, action, times: 1 }) })
    expect((await home.map(request)).addresses[0]).not.toContain('/8080')
    expect(entries(home)).toHaveLength(1)
  })

  it('maps to the same port if the router requires it (724)', async () => {
    const home = await igd({ prepare: (each) => each.inject({ kind: 'same-port' }) })
    const lease = await home.map({ ...request, suggestedExternalPort: 9999 })
    expect(lease.addresses).toEqual([`/ip4/${external}/tcp/8080`])
  })

  it.each([
    [402, 'MALFORMED_REQUEST'],
    [501, 'GATEWAY_FAULT'],
    [606, 'NOT_AUTHORIZED'],
    [718, 'CONFLICT'],
    [724, 'SAME_PORT_REQUIRED'],
    [725, 'ONLY_PERMANENT_LEASES'],
    [726, 'UNSUPPORTED'],
    [727, 'UNSUPPORTED'],
    [728, 'OUT_OF_RESOURCES'],
    [729, 'CONFLICT']
  ])('gives up after fault %i with %s', async (code, expected) => {
    const home = await igd()
    for (const action of ['AddPortMapping', 'AddAnyPortMapping'])
      home.gateway.inject({ kind: 'soap-fault', code, action })
    await expect(home.map(request)).rejects.toMatchObject({ code: expected })
    expect(home.gateway.counters.control.requests).toBeLessThan(40)
    expect(entries(home)).toEqual([])
  })

  it('rejects a grant that is not in the list', async () => {
    const home = await igd({ prepare: (each) => each.inject({ kind: 'lie' }) })
    await expect(home.map(request)).rejects.toMatchObject({ code: 'GRANT_INVALID' })
  })

  it.each([
    [1, 1000],
    [120, 120_000],
    [604_800, 7_200_000],
    [2 ** 32 - 1, 7_200_000],
    [Number.POSITIVE_INFINITY, 1_800_000]
  ])('limits a lease of %d s in the list to the requested one', async (lifetimeSeconds, lifetimeMs) => {
    const home = await igd({ prepare: (each) => each.inject({ kind: 'grant', on: 'control', lifetimeSeconds }) })
    expect((await home.map(request)).lifetimeMs).toBe(lifetimeMs)
  })

  it('accepts the grant if the list cannot be read', async () => {
    const home = await igd()
    home.gateway.inject({ kind: 'soap-fault', code: 401, action: 'GetSpecificPortMappingEntry' })
    const lease = await home.map(request)
    expect(lease).toMatchObject({ addresses: [`/ip4/${external}/tcp/8080`], lifetimeMs: 7_200_000 })
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('requests the internal port for port 0', async () => {
    const home = await igd()
    expect((await home.map({ ...request, suggestedExternalPort: 0 })).addresses).toEqual([`/ip4/${external}/tcp/8080`])
  })

  it('requests a week at most', async () => {
    const home = await igd()
    expect((await home.map({ ...request, lifetimeMs: Number.POSITIVE_INFINITY })).lifetimeMs).toBe(604_800_000)
  })

  it.each([
    ['0.0.0.0', 'NETWORK_FAILURE'],
    ['127.0.0.1', 'EXTERNAL_ADDRESS_RESERVED']
  ])('adds nothing if the external address is %s', async (address, code) => {
    const home = await igd()
    await home.clock.advance(freshMs)
    home.gateway.setExternalAddress(address)
    await expect(home.map(request)).rejects.toMatchObject({ code })
    expect(entries(home)).toEqual([])
  })

  it('does not ask again for a recent external address', async () => {
    const home = await igd()
    const asked = (): number => home.gateway.counters.control.operations['GetExternalIPAddress'] ?? 0
    expect(asked()).toBe(1)
    await home.map(request)
    await home.clock.advance(freshMs - 1000)
    const lease = await home.map(udp)
    expect(asked()).toBe(1)
    await home.within(lease.renew(call()))
    await home.map({ ...udp, endpoint: { ...udp.endpoint, port: 8081 } })
    expect(asked()).toBe(2)
    await home.clock.advance(freshMs)
    await home.map({ ...udp, endpoint: { ...udp.endpoint, port: 8082 } })
    expect(asked()).toBe(3)
    expect(home.notices()).toEqual([])
  })

  it('uses the newest external address', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.setExternalAddress('11.0.0.77')
    await home.within(lease.renew(call()))
    expect((await home.map(udp)).addresses).toEqual(['/ip4/11.0.0.77/udp/8080'])
    expect(home.notices()).toEqual(['address-changed'])
  })

  it('renews with the new external address, and reports the change', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.setExternalAddress('11.0.0.77')
    expect((await home.within(lease.renew(call()))).addresses).toEqual(['/ip4/11.0.0.77/tcp/8080'])
    expect(home.notices()).toEqual(['address-changed'])
  })

  it('searches again once if the control port is closed', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.reboot({ upnpPort: 49_111 })
    expect((await home.within(lease.renew(call()))).addresses).toEqual(lease.addresses)
    expect(home.notices()).toEqual(['restarted'])
    expect(entries(home)).toHaveLength(1)
  })

  it('reports the device as gone if it is not found again, and finds it when it is back', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.inject({ kind: 'refuse' })
    await expect(home.within(lease.renew(call()))).rejects.toMatchObject({ code: 'REFUSED' })
    await home.clock.advance(0)
    expect(home.notices()).toEqual(['gone', 'REFUSED'])
    home.gateway.clearFaults()
    await home.clock.advance(10_000)
    expect((await home.map(request)).addresses).toEqual(lease.addresses)
  })

  it('sends one request at a time to a router that cannot handle more', async () => {
    const home = await igd({
      prepare: (each) => each.inject({ kind: 'one-at-a-time', on: 'control', busyMs: 100 })
    })
    await home.clock.advance(5000)
    const leases = Promise.all([home.map(request), home.map(udp)])
    expect(await home.within(leases)).toHaveLength(2)
  })

  it('slows down for a router that fails on quick requests', async () => {
    const home = await igd()
    home.gateway.inject({ kind: 'http', on: 'control', what: 'status', status: 503, times: 1 })
    const lease = home.map(request)
    expect((await home.within(lease)).addresses).toEqual([`/ip4/${external}/tcp/8080`])
  })
})

describe('an aborted map', () => {
  const reason = new Error('enough')

  it.each(Array.from({ length: 60 }, (_, turns) => turns))(
    'an aborted map leaves nothing behind after %i turns',
    async (turns) => {
      const home = await bench()
      const end = new AbortController()
      const lease = home.mapper().map(request, end)
      lease.catch(() => undefined)
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
      end.abort(reason)
      const outcome = await home.within(lease).then(
        async (granted) => home.within(granted.release(call())),
        (error: unknown) => error
      )
      expect([undefined, reason]).toContain(outcome)
      expect(entries(home)).toEqual([])
    }
  )

  it('an aborted map waits briefly for the answer that tells what to undo', async () => {
    const home = await bench()
    home.gateway.inject({ kind: 'silent', on: 'control', carriedOut: true, after: 2, times: 1 })
    const end = new AbortController()
    const lease = home.mapper().map(request, end)
    await home.clock.advance(1000)
    expect(entries(home)).toHaveLength(1)
    const before = home.clock.monotonicMs()
    end.abort(reason)
    await expect(home.within(lease)).rejects.toBe(reason)
    expect(home.clock.monotonicMs() - before).toBeLessThanOrEqual(500)
    expect(entries(home)).toEqual([])
  })

  it('an aborted map does not wait for a silent router', async () => {
    const home = await bench()
    home.gateway.inject({ kind: 'silent', on: 'control', after: 2 })
    const end = new AbortController()
    const lease = home.mapper().map(request, end)
    await home.clock.advance(1000)
    const before = home.clock.monotonicMs()
    end.abort(reason)
    await expect(home.within(lease)).rejects.toBe(reason)
    expect(home.clock.monotonicMs() - before).toBeLessThanOrEqual(500)
  })

  it('an aborted map does not delete an entry that existed before', async () => {
    const home = await bench()
    await home.map(request)
    home.gateway.inject({ kind: 'silent', on: 'control', after: 2 })
    const end = new AbortController()
    const lease = home.mapper().map(request, end)
    await home.clock.advance(100)
    end.abort(reason)
    await expect(home.within(lease)).rejects.toBe(reason)
    home.gateway.clearFaults()
    expect(entries(home)).toHaveLength(1)
  })

  it('map sends nothing if the signal has aborted before', async () => {
    const home = await bench()
    const { requests } = home.gateway.counters.control
    await expect(home.mapper().map(request, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(home.gateway.counters.control.requests).toBe(requests)
  })
})

describe('a failed map', () => {
  it('a failed map is undone although the answers to the addition and to the check are lost', async () => {
    const home = await bench()
    home.gateway.inject({ kind: 'silent', on: 'control', carriedOut: true, after: 1, times: 3 })
    await expect(home.map(request)).rejects.toMatchObject({ code: 'NO_REPLY' })
    expect(entries(home)).toEqual([])
  })
})

describe('options', () => {
  it('the option description names the mapping in the list', async () => {
    const home = await bench({ upnp: { description: 'my <game> & more' } })
    await home.map(request)
    expect(home.gateway.mappings[0]?.description).toBe('my <game> & more')
  })

  it('the option ssdpPort is the port of the search', async () => {
    const home = await bench({ upnp: { ssdpPort: 1901 } })
    expect(home.notices()).toEqual(['REFUSED'])
    expect(home.gateway.counters.ssdp.requests).toBe(0)
  })
})
