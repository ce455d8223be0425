import type { MapRequest } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { type Bench, bench, call, entries, external, occupy, ours, request } from './bench.js'

const versions = [1, 2] as const
/** So long a map takes the external address for what it was when it was last told. */
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
  ])('leaves the entry of %s alone and takes another port', async (_name, address, port) => {
    const home = await igd()
    await occupy(home, address, port)
    const lease = await home.map(request)
    expect(lease.addresses[0]).toMatch(/\/tcp\/(49[1-9]|[56]\d\d)\d\d$/)
    expect(entries(home)).toContain(`tcp 8080 ${address} ${port}`)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([`tcp 8080 ${address} ${port}`])
  })

  it('takes its own entry of a former life back', async () => {
    const home = await igd()
    await home.map(request)
    const again = await home.map(request)
    expect(again.addresses).toEqual([`/ip4/${external}/tcp/8080`])
    expect(entries(home)).toHaveLength(1)
  })

  it('makes a mapping again that the router forgot', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.forget()
    expect((await home.within(lease.renew(call()))).addresses).toEqual(lease.addresses)
    expect(entries(home)).toHaveLength(1)
  })

  it('tells once that the router has restarted where entries are gone before their time', async () => {
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

  it('renews on another port where somebody else has taken the port meanwhile', async () => {
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

  it('does not delete what has become the entry of somebody else', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.forget()
    await occupy(home, '192.168.1.3', 8080)
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual(['tcp 8080 192.168.1.3 8080'])
  })

  it('has nothing against a mapping that is gone already', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.forget()
    await home.within(lease.release(call()))
    expect(home.gateway.counters.control.deletes).toBe(0)
  })

  it.each([402, 725] as const)('asks for a mapping without an end after a %i', async (code) => {
    const home = await igd({ prepare: (each) => each.inject({ kind: 'only-permanent', code }) })
    const lease = await home.map(request)
    expect(lease).toMatchObject({ addresses: [`/ip4/${external}/tcp/8080`], lifetimeMs: 1_800_000 })
    const next = await home.within(lease.renew(call()))
    expect(next.lifetimeMs).toBe(1_800_000)
    await home.within(next.release(call()))
    expect(entries(home)).toEqual([])
  })

  it.each([718, 729])('takes another port after a %i', async (code) => {
    const action = version === 1 ? 'AddPortMapping' : 'AddAnyPortMapping'
    const home = await igd({ prepare: (each) => each.inject({ kind: 'soap-fault', code, action, times: 1 }) })
    expect((await home.map(request)).addresses[0]).not.toContain('/8080')
    expect(entries(home)).toHaveLength(1)
  })

  it('maps to the same port where the router wants that (724)', async () => {
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
  ])('gives up after %i for good with %s', async (code, expected) => {
    const home = await igd()
    for (const action of ['AddPortMapping', 'AddAnyPortMapping'])
      home.gateway.inject({ kind: 'soap-fault', code, action })
    await expect(home.map(request)).rejects.toMatchObject({ code: expected })
    expect(home.gateway.counters.control.requests).toBeLessThan(40)
    expect(entries(home)).toEqual([])
  })

  it('does not believe in a mapping that is not in the list', async () => {
    const home = await igd({ prepare: (each) => each.inject({ kind: 'lie' }) })
    await expect(home.map(request)).rejects.toMatchObject({ code: 'GRANT_INVALID' })
  })

  it.each([
    [1, 1000],
    [120, 120_000],
    [604_800, 7_200_000],
    [2 ** 32 - 1, 7_200_000],
    [Number.POSITIVE_INFINITY, 1_800_000]
  ])('believes a lease of %d s, and never longer than it asked for', async (lifetimeSeconds, lifetimeMs) => {
    const home = await igd({ prepare: (each) => each.inject({ kind: 'grant', on: 'control', lifetimeSeconds }) })
    expect((await home.map(request)).lifetimeMs).toBe(lifetimeMs)
  })

  it('believes the add where the list cannot be read', async () => {
    const home = await igd()
    home.gateway.inject({ kind: 'soap-fault', code: 401, action: 'GetSpecificPortMappingEntry' })
    const lease = await home.map(request)
    expect(lease).toMatchObject({ addresses: [`/ip4/${external}/tcp/8080`], lifetimeMs: 7_200_000 })
    await home.within(lease.release(call()))
    expect(entries(home)).toEqual([])
  })

  it('makes nothing of port 0 but the internal port', async () => {
    const home = await igd()
    expect((await home.map({ ...request, suggestedExternalPort: 0 })).addresses).toEqual([`/ip4/${external}/tcp/8080`])
  })

  it('asks for a week at most', async () => {
    const home = await igd()
    expect((await home.map({ ...request, lifetimeMs: Number.POSITIVE_INFINITY })).lifetimeMs).toBe(604_800_000)
  })

  it.each([
    ['0.0.0.0', 'NETWORK_FAILURE'],
    ['127.0.0.1', 'EXTERNAL_ADDRESS_RESERVED']
  ])('adds nothing once the external address is %s', async (address, code) => {
    const home = await igd()
    await home.clock.advance(freshMs)
    home.gateway.setExternalAddress(address)
    await expect(home.map(request)).rejects.toMatchObject({ code })
    expect(entries(home)).toEqual([])
  })

  it('does not ask again for the external address that it was told a moment ago', async () => {
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

  it('goes on with the newest external address that it was told', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.setExternalAddress('11.0.0.77')
    await home.within(lease.renew(call()))
    expect((await home.map(udp)).addresses).toEqual(['/ip4/11.0.0.77/udp/8080'])
    expect(home.notices()).toEqual(['address-changed'])
  })

  it('renews with the new external address, and tells that it is new', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.setExternalAddress('11.0.0.77')
    expect((await home.within(lease.renew(call()))).addresses).toEqual(['/ip4/11.0.0.77/tcp/8080'])
    expect(home.notices()).toEqual(['address-changed'])
  })

  it('searches again, once, where the control port is closed', async () => {
    const home = await igd()
    const lease = await home.map(request)
    home.gateway.reboot({ upnpPort: 49_111 })
    expect((await home.within(lease.renew(call()))).addresses).toEqual(lease.addresses)
    expect(home.notices()).toEqual(['restarted'])
    expect(entries(home)).toHaveLength(1)
  })

  it('says that the device is gone where it cannot be found again, and finds it when it is back', async () => {
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

  it('has patience with a router that takes one request at a time', async () => {
    const home = await igd({
      prepare: (each) => each.inject({ kind: 'one-at-a-time', on: 'control', busyMs: 100 })
    })
    await home.clock.advance(5000)
    const leases = Promise.all([home.map(request), home.map(udp)])
    expect(await home.within(leases)).toHaveLength(2)
  })

  it('slows down for a router that chokes', async () => {
    const home = await igd()
    home.gateway.inject({ kind: 'http', on: 'control', what: 'status', status: 503, times: 1 })
    const lease = home.map(request)
    expect((await home.within(lease)).addresses).toEqual([`/ip4/${external}/tcp/8080`])
  })
})

describe('an aborted map', () => {
  const reason = new Error('enough')

  it.each(Array.from({ length: 60 }, (_, turns) => turns))('leaves nothing behind after %i turns', async (turns) => {
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
  })

  it('waits for the answer that tells what there is to undo, and not for long', async () => {
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

  it('does not wait for a router that is silent from then on', async () => {
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

  it('does not delete what was there before', async () => {
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

  it('does not begin where the signal has aborted before', async () => {
    const home = await bench()
    const { requests } = home.gateway.counters.control
    await expect(home.mapper().map(request, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(home.gateway.counters.control.requests).toBe(requests)
  })
})

describe('a failed map', () => {
  it('is undone where the answers to the add and to the question for it are lost', async () => {
    const home = await bench()
    home.gateway.inject({ kind: 'silent', on: 'control', carriedOut: true, after: 1, times: 3 })
    await expect(home.map(request)).rejects.toMatchObject({ code: 'NO_REPLY' })
    expect(entries(home)).toEqual([])
  })
})

describe('options', () => {
  it('description is what the router calls the mapping', async () => {
    const home = await bench({ upnp: { description: 'my <game> & more' } })
    await home.map(request)
    expect(home.gateway.mappings[0]?.description).toBe('my <game> & more')
  })

  it('ssdpPort is where routers are searched', async () => {
    const home = await bench({ upnp: { ssdpPort: 1901 } })
    expect(home.notices()).toEqual(['REFUSED'])
    expect(home.gateway.counters.ssdp.requests).toBe(0)
  })
})
