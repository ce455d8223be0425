import type { MapRequest, Network } from '@postern/interface'
import type { GatewayOptions } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type Bench, bench, call, ours, router } from '../bench.js'

const router6 = '2a00:1::1'
const ours6 = '2a00:1::2'
const dual: Network = {
  gateways: [
    { address: router, interface: 'eth0', localAddress: ours },
    { address: router6, interface: 'eth0', localAddress: ours6 }
  ],
  addresses: [ours, ours6]
}
const wish: MapRequest = {
  endpoint: { protocol: 'tcp', family: 6, address: ours6, port: 8080 },
  suggestedExternalPort: 8080,
  lifetimeMs: 7_200_000,
  key: new Uint8Array(16)
}

const dualStack = (gateway: GatewayOptions = {}): Promise<Bench> =>
  bench({ network: dual, addresses: [router, router6], gateway })

describe('IPv6 pinholes', () => {
  it('map asks the next hop itself, whatever host on the link an answer names', async () => {
    const asked: (readonly [string, string | undefined])[] = []
    const home = await bench({
      network: dual,
      addresses: [router, router6],
      wrapHttp: (exchangeHttp) => (exchange, own) => {
        asked.push([exchange.url.hostname, exchange.connectTo])
        return exchangeHttp(exchange, own)
      }
    })
    await home.within(home.mapper(6).map(wish, call()))
    const overIpv6 = asked.filter(([host]) => host.startsWith('['))
    expect(overIpv6.length).toBeGreaterThan(1)
    expect(overIpv6.every(([, connectTo]) => connectTo === router6)).toBe(true)
  })

  it.each(['tcp', 'udp'] as const)(
    'map, renew and release open, renew and close a pinhole for %s',
    async (protocol) => {
      const home = await dualStack()
      expect(home.mapper(6)).toMatchObject({ family: 6, protocols: ['tcp', 'udp'], gateway: dual.gateways[1] })
      const request = { ...wish, endpoint: { ...wish.endpoint, protocol } }
      const lease = await home.within(home.mapper(6).map(request, call()))
      expect(lease).toMatchObject({ addresses: [`/ip6/${ours6}/${protocol}/8080`], lifetimeMs: 7_200_000 })
      expect(home.gateway.mappings).toMatchObject([{ family: 6, protocol, internalAddress: ours6, internalPort: 8080 }])
      const next = await home.within(lease.renew(call()))
      expect(home.gateway.counters.control).toMatchObject({ maps: 1, renewals: 1 })
      await home.within(next.release(call()))
      await home.within(next.release(call()))
      expect(home.gateway.mappings).toEqual([])
    }
  )

  it('renew opens a pinhole again that the router lost', async () => {
    const home = await dualStack()
    const lease = await home.within(home.mapper(6).map(wish, call()))
    home.gateway.forget()
    expect((await home.within(lease.renew(call()))).addresses).toEqual(lease.addresses)
    expect(home.gateway.mappings).toHaveLength(1)
  })

  it('release resolves for a pinhole that is gone already', async () => {
    const home = await dualStack()
    const lease = await home.within(home.mapper(6).map(wish, call()))
    home.gateway.forget()
    await home.within(lease.release(call()))
    expect(home.gateway.counters.control.deletes).toBe(0)
  })

  it('map opens a pinhole on a router that is slow over IPv6, after a refusal over IPv4', async () => {
    const home = await dualStack({ upnp: { version: 2 } })
    home.gateway.inject({ kind: 'late', ms: 2500, on: 'ssdp' })
    const lease = await home.within(home.mapper(6).map(wish, call()))
    expect(lease.addresses).toEqual([`/ip6/${ours6}/tcp/8080`])
    // Over IPv4, from another address than the pinhole's.
    expect(home.gateway.violations).toEqual([`upnp: AddPinhole with InternalClient ${ours6} from ${ours}`])
    await home.within(lease.release(call()))
    expect(home.gateway.mappings).toEqual([])
    home.pardon()
    // The last answers to the search are on their way.
    await home.clock.advance(3000)
  })

  it('map asks over IPv6 at once on a router that is slow over IPv4', async () => {
    const home = await bench({
      network: dual,
      addresses: [router, router6],
      prepare: (each) => each.inject({ kind: 'late', ms: 1500 })
    })
    await home.clock.advance(20_000)
    expect((await home.within(home.mapper(6).map(wish, call()))).addresses).toEqual([`/ip6/${ours6}/tcp/8080`])
  })

  it('map requests a pinhole for a day at most', async () => {
    const home = await dualStack()
    const lease = await home.within(home.mapper(6).map({ ...wish, lifetimeMs: 7 * 86_400_000 }, call()))
    expect(lease.lifetimeMs).toBe(86_400_000)
  })

  it('discover reports PINHOLES_DISABLED if pinholes are not allowed', async () => {
    const home = await dualStack({ upnp: { firewall: { enabled: true, pinholesAllowed: false } } })
    expect(home.notices()).toEqual(['PINHOLES_DISABLED'])
    expect(() => home.mapper(6)).toThrow('no mapper was found')
  })

  it.each([{ enabled: false, pinholesAllowed: true }, null])(
    'discover offers no pinholes without a firewall',
    async (firewall) => {
      const home = await dualStack({ upnp: { firewall } })
      expect(home.notices()).toEqual([])
      expect(() => home.mapper(6)).toThrow('no mapper was found')
    }
  )

  it('discover offers no pinholes to a host without a global IPv6 address', async () => {
    const home = await bench()
    expect(home.gateway.counters.control.operations.GetFirewallStatus).toBeUndefined()
    expect(() => home.mapper(6)).toThrow('no mapper was found')
  })

  it('discover offers pinholes although the IPv4 address is useless', async () => {
    const home = await dualStack({ externalAddress: '127.0.0.1' })
    expect(home.notices()).toEqual(['EXTERNAL_ADDRESS_RESERVED'])
    expect((await home.within(home.mapper(6).map(wish, call()))).addresses).toEqual([`/ip6/${ours6}/tcp/8080`])
  })

  it.each([
    [606, 'NOT_AUTHORIZED'],
    [701, 'OUT_OF_RESOURCES'],
    [705, 'UNSUPPORTED']
  ])('map converts fault %i to %s', async (code, expected) => {
    const home = await dualStack()
    home.gateway.inject({ kind: 'soap-fault', code, action: 'AddPinhole' })
    await expect(home.within(home.mapper(6).map(wish, call()))).rejects.toMatchObject({ code: expected })
  })

  it.each(Array.from({ length: 40 }, (_, turns) => turns * 2))(
    'map closes the pinhole if it is aborted after %i turns',
    async (turns) => {
      const home = await dualStack()
      const end = new AbortController()
      const reason = new Error('enough')
      const lease = home.mapper(6).map(wish, end)
      lease.catch(() => undefined)
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
      end.abort(reason)
      const outcome = await home.within(lease).then(
        async (granted) => home.within(granted.release(call())),
        (error: unknown) => error
      )
      expect([undefined, reason]).toContain(outcome)
      expect(home.gateway.mappings).toEqual([])
    }
  )
})
