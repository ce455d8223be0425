import { type Finding, type Lease, type MapRequest, type Network, natError, type Strategy } from '@postern/interface'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { createTraversal, type Memory, memoryStore } from '../src/index.js'
import { absent, begin, end, home, router, type Scripted, scripted, stage, web } from './support.js'

const noRoute: Network = { gateways: [], addresses: ['192.168.1.2'] }
const vpn: Network = { gateways: [{ ...router, address: '0.0.0.0', interface: 'tun0' }], addresses: ['192.168.1.2'] }

describe('acquiring', () => {
  it('the ladder asks the best-ranked strategy only, and reports that', async () => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock).strategy,
      scripted('upnp', trace, clock).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.trace).toEqual(['map pcp 8080'])
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080'])
    const report = each.traversal.report()
    expect(report).toMatchObject({
      verdict: 'public',
      cause: 'unverified',
      externalAddresses: ['/ip4/11.0.0.2/tcp/8080']
    })
    expect(report.strategies.map(({ name, state }) => [name, state])).toEqual([
      ['pcp', 'active'],
      ['upnp', 'standby']
    ])
    await end(each)
    expect(each.trace).toEqual(['map pcp 8080', 'release pcp 8080'])
    expect(each.clock.pending).toBe(0)
  })

  it('the ladder starts at once when no better strategy is searching', async () => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock, { foundAfterMs: 3 }).strategy,
      scripted('upnp', trace, clock, { foundAfterMs: 900 }).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each, 5)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080'])
    await end(each)
  })

  it('the ladder waits 250 ms for a better strategy that is searching, and no longer', async () => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock, { foundAfterMs: 800 }).strategy,
      scripted('upnp', trace, clock).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each, 249)
    expect(each.trace).toEqual([])
    await each.clock.advance(10)
    expect(each.told()).toEqual(['mapped upnp 11.0.0.2:8080'])
    // A working lease is never replaced by a better-ranked one.
    await each.clock.advance(5000)
    expect(each.trace).toEqual(['map upnp 8080'])
    await end(each)
  })

  it('the ladder asks the next strategy when the first refuses, and reports the reason', async () => {
    const refuse = (): never => {
      throw natError('NOT_AUTHORIZED', 'no')
    }
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock, { grant: refuse }).strategy,
      scripted('upnp', trace, clock).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.told()).toEqual(['mapped upnp 11.0.0.2:8080'])
    expect(each.traversal.report().strategies[0]).toMatchObject({
      state: 'failed',
      reason: { code: 'NOT_AUTHORIZED', message: 'no' }
    })
    await end(each)
  })

  it('the ladder waits 2 s for a strategy that hangs, asks the next one too, and gives the first up after 30 s', async () => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock, { takesMs: 1e9 }).strategy,
      scripted('upnp', trace, clock).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each, 1999)
    expect(each.told()).toEqual([])
    await each.clock.advance(10)
    expect(each.told()).toEqual(['mapped upnp 11.0.0.2:8080'])
    expect(each.traversal.report().strategies[0]).toMatchObject({ state: 'standby', reason: null })
    await each.clock.advance(30_000)
    expect(each.traversal.report().strategies[0]).toMatchObject({
      state: 'failed',
      reason: { code: 'ATTEMPT_TIMEOUT' }
    })
    await end(each)
  })

  it('the ladder never sends two requests to one gateway at a time', async () => {
    let busy = 0
    let most = 0
    const each = stage((trace, clock) => {
      const one = scripted('pcp', trace, clock, {
        takesMs: 10,
        grant: (request) => {
          busy--
          return request.suggestedExternalPort
        }
      })
      return [
        (host) => {
          const discovery = one.strategy(host)
          return {
            ...discovery,
            discover: (network, found, call) =>
              discovery.discover(
                network,
                (finding) =>
                  found(
                    finding.kind === 'mapper'
                      ? {
                          ...finding,
                          map: (request, inner) => ((most = Math.max(most, ++busy)), finding.map(request, inner))
                        }
                      : finding
                  ),
                call
              )
          }
        }
      ]
    })
    for (let port = 9000; port < 9010; port++) each.traversal.addEndpoint({ ...web, port })
    await begin(each)
    expect(each.told()).toHaveLength(10)
    expect(most).toBe(1)
    await end(each)
  })

  it('the ladder honours the retry-after of a gateway', async () => {
    const refuse = (): never => {
      throw natError('OUT_OF_RESOURCES', 'full', { retryAfterMs: 1_800_000 })
    }
    const each = stage((trace, clock) => [scripted('pcp', trace, clock, { grant: refuse }).strategy])
    each.traversal.addEndpoint(web)
    await begin(each, 1_799_000)
    expect(each.trace).toEqual(['map pcp 8080'])
    await each.clock.advance(2000)
    expect(each.trace).toEqual(['map pcp 8080', 'map pcp 8080'])
    await end(each)
  })

  it('the ladder reports once that nothing worked, with every reason', async () => {
    const each = stage((_, clock) => [absent('pcp', clock), absent('upnp', clock, 'REFUSED', 20)])
    each.traversal.addEndpoint(web)
    await begin(each, 60_000)
    expect(each.events).toHaveLength(1)
    expect(each.events[0]).toMatchObject({
      event: 'failed',
      strategy: null,
      external: null,
      lifetimeSeconds: null,
      reasons: [
        { strategy: 'pcp', code: 'NO_REPLY' },
        { strategy: 'upnp', code: 'REFUSED' }
      ]
    })
    expect(each.traversal.report()).toMatchObject({ verdict: 'private', cause: 'no-mapping-service' })
    await end(each)
  })

  it.each(['witness', 'relay', 'observer', 'puncher'] as const)(
    'reports no failure where only a %s is missing',
    async (kind) => {
      const each = stage((_, clock) => [(host) => ({ ...absent('other', clock)(host), kind })])
      each.traversal.addEndpoint(web)
      await begin(each, 60_000)
      expect(each.events).toEqual([])
      await end(each)
    }
  )

  it('a failed event does not name a missing witness as a reason', async () => {
    const each = stage((_, clock) => [
      absent('pcp', clock),
      (host) => ({ ...absent('autonat', clock)(host), kind: 'witness' })
    ])
    each.traversal.addEndpoint(web)
    await begin(each, 60_000)
    expect(each.events).toMatchObject([{ event: 'failed', reasons: [{ strategy: 'pcp', code: 'NO_REPLY' }] }])
    await end(each)
  })

  it('the ladder requests a port below 1024 only if it is named', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    each.traversal.addEndpoint({ ...web, port: 80 })
    each.traversal.addEndpoint({ ...web, port: 443 }, { externalPort: 443 })
    await begin(each)
    expect(each.trace.toSorted()).toEqual(['map pcp 443', 'map pcp 49232'])
    await end(each)
  })

  it('the ladder does not map on a gateway that replies do not leave through, and reports it', async () => {
    const other = { ...router, address: '192.168.1.254' }
    const each = stage((trace, clock) => [scripted('upnp', trace, clock, { gateway: other }).strategy], {
      network: { ...home, gateways: [router, other] }
    })
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.trace).toEqual([])
    expect(each.traversal.report().strategies).toMatchObject([
      { state: 'skipped', reason: { code: 'SECONDARY_GATEWAY' } }
    ])
    await end(each)
  })

  it('the ladder uses a gateway that the user named, whatever the routes say', async () => {
    const other = { ...router, address: '10.9.9.9' }
    const each = stage((trace, clock) => {
      const { strategy } = scripted('pcp', trace, clock, { gateway: other })
      return [(host) => ({ ...strategy(host), gateway: '10.9.9.9' })]
    })
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.trace).toEqual(['map pcp 8080'])
    await end(each)
  })

  it.each([
    ['another router', '10.9.9.9', home, { verdict: 'unknown', state: 'claimed', reason: 'SECONDARY_GATEWAY' }],
    [
      'another router beside a VPN',
      '10.9.9.9',
      vpn,
      { verdict: 'private', state: 'claimed', reason: 'SECONDARY_GATEWAY' }
    ],
    ['the next hop', router.address, home, { verdict: 'public', state: 'consistent' }],
    ['this host', '127.0.0.1', home, { verdict: 'public', state: 'consistent' }],
    ['any router, without a default route', '10.9.9.9', noRoute, { verdict: 'public', state: 'consistent' }]
  ] as const)(
    'a mapping at a gateway that the user named gets its state from the route: %s',
    async (_, address, network, expected) => {
      const gateway = { ...router, address }
      const stand = (trace: string[], clock: VirtualClock): readonly Strategy[] => {
        const { strategy } = scripted('pcp', trace, clock, { gateway })
        return [(host) => ({ ...strategy(host), gateway: address })]
      }
      const each = stage(stand, { network })
      each.traversal.addEndpoint(web)
      await begin(each)
      const { verdict, strategies, candidates, advice } = each.traversal.report()
      expect({ verdict, state: candidates[0]?.state, reason: strategies[0]?.reason?.code }).toEqual(expected)
      const isDoubted = 'reason' in expected
      expect(advice.some((line) => line.startsWith(`${address} maps the port`))).toBe(isDoubted)
      await end(each)
    }
  )

  it('the ladder treats a grant of a service without a gateway like a grant of a router', async () => {
    const each = stage((trace, clock) => [scripted('firewall', trace, clock, { gateway: null }).strategy])
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report()).toMatchObject({ verdict: 'public', cause: 'unverified' })
    await end(each)
  })

  it('the ladder keeps a port without a known external address, and reports that', async () => {
    const caveat = natError('EXTERNAL_ADDRESS_UNKNOWN', 'the router does not tell it')
    const options = { externalAddress: '0.0.0.0', shape: (lease: Lease): Lease => ({ ...lease, caveat }) }
    const each = stage((trace, clock) => [scripted('upnp', trace, clock, options).strategy])
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report()).toMatchObject({
      verdict: 'unknown',
      cause: 'unverified',
      externalAddresses: [],
      strategies: [{ state: 'active', reason: { code: 'EXTERNAL_ADDRESS_UNKNOWN' } }],
      candidates: [{ address: '/ip4/0.0.0.0/tcp/8080', type: 'mapped', state: 'claimed' }]
    })
    expect(each.traversal.report().advice.join()).toContain('try port 8080 there')
    await end(each)
  })

  it('an address that only the user claims stays claimed', async () => {
    const each = stage((trace, clock) => [scripted('manual', trace, clock, { gateway: null, isClaim: true }).strategy])
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report()).toMatchObject({
      verdict: 'unknown',
      cause: 'unverified',
      candidates: [{ type: 'manual', state: 'claimed' }]
    })
    expect(each.traversal.report().advice).toContain('Only you say that /ip4/11.0.0.2/tcp/8080 leads here.')
    await end(each)
  })
})

describe('keeping', () => {
  it('a lease is renewed between 1/2 and 5/8 of the granted lifetime', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock, { lifetimeMs: 600_000 }).strategy])
    each.traversal.addEndpoint(web)
    await begin(each, 299_000)
    expect(each.trace).toHaveLength(1)
    await each.clock.advance(80_000)
    expect(each.trace).toEqual(['map pcp 8080', 'renew pcp 8080'])
    expect(each.told().at(-1)).toBe('renewed pcp 11.0.0.2:8080')
    await end(each)
  })

  it('an address is withdrawn as soon as its lease expires, and requested again', async () => {
    let dead = false
    const refuse = (request: { suggestedExternalPort: number }): number => {
      if (dead) throw natError('NO_REPLY', 'gone')
      return request.suggestedExternalPort
    }
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock, {
        lifetimeMs: 120_000,
        grant: refuse,
        renew: () => {
          throw natError('NO_REPLY', 'gone')
        }
      }).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each)
    dead = true
    await each.clock.advance(118_600 - 1500 + 1000)
    expect(each.traversal.report().externalAddresses).toHaveLength(1)
    await each.clock.advance(1000)
    expect(each.told()).toContain('lost pcp 11.0.0.2:8080')
    expect(each.traversal.report().externalAddresses).toEqual([])
    dead = false
    await each.clock.advance(30_000)
    expect(each.told().at(-1)).toBe('mapped pcp 11.0.0.2:8080')
    await end(each)
  })

  it('when a router says goodbye over one protocol, a mapping over another one is checked, and is in doubt without an answer', async () => {
    let upnp: Scripted | undefined
    const each = stage((trace, clock) => {
      const renew = (): never => {
        throw natError('REFUSED', 'the port is closed')
      }
      upnp = scripted('upnp', trace, clock)
      return [scripted('pcp', trace, clock, { renew }).strategy, upnp.strategy]
    })
    each.traversal.addEndpoint(web)
    await begin(each, 60_000)
    expect(each.traversal.report().strategies[0]).toMatchObject({ state: 'active', reason: null })
    upnp?.say((about) => ({ kind: 'notice', what: 'gone', about }))
    await each.clock.advance(10_000)
    expect(each.trace.filter((text) => text.startsWith('renew pcp'))).not.toEqual([])
    expect(each.traversal.report().strategies[0]).toMatchObject({ state: 'active', reason: { code: 'REFUSED' } })
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080'])
    await end(each)
  })

  it('the goodbye of a router that maps nothing here has nothing checked', async () => {
    let upnp: Scripted | undefined
    const each = stage((trace, clock) => {
      upnp = scripted('upnp', trace, clock, { gateway: { ...router, address: '192.168.1.9' } })
      return [scripted('pcp', trace, clock).strategy, upnp.strategy]
    })
    each.traversal.addEndpoint(web)
    await begin(each, 60_000)
    upnp?.say((about) => ({ kind: 'notice', what: 'gone', about }))
    await each.clock.advance(10_000)
    expect(each.trace.filter((text) => text.startsWith('renew'))).toEqual([])
    await end(each)
  })

  it('all leases are renewed within 5.5 s of a restart, one after the other', async () => {
    let pcp: Scripted | undefined
    const each = stage((trace, clock) => [(pcp = scripted('pcp', trace, clock)).strategy], { random: () => 0.999 })
    each.traversal.addEndpoint(web)
    each.traversal.addEndpoint({ ...web, port: 9090 })
    await begin(each)
    each.trace.length = 0
    pcp?.say((about) => ({ kind: 'notice', what: 'restarted', about }))
    await each.clock.advance(5600)
    expect(each.trace).toEqual(['renew pcp 8080', 'renew pcp 9090'])
    await end(each)
  })

  it('a changed external address is reported, and the old one withdrawn', async () => {
    let pcp: Scripted | undefined
    const each = stage((trace, clock) => [(pcp = scripted('pcp', trace, clock)).strategy])
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    if (pcp !== undefined) pcp.externalAddress = '11.0.0.77'
    pcp?.say((about) => ({ kind: 'notice', what: 'address-changed', about }))
    await each.clock.advance(600)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080', 'changed pcp 11.0.0.77:8080'])
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.77/tcp/8080'])
    await end(each)
  })

  it('a gateway is recovered at most once in 10 s, however many reports there are', async () => {
    let pcp: Scripted | undefined
    const each = stage((trace, clock) => [(pcp = scripted('pcp', trace, clock)).strategy], { random: () => 0 })
    each.traversal.addEndpoint(web)
    await begin(each)
    each.trace.length = 0
    for (let tenths = 0; tenths < 95; tenths++) {
      pcp?.say((about) => ({ kind: 'notice', what: 'address-changed', about }))
      await each.clock.advance(100)
    }
    expect(each.trace).toEqual(['renew pcp 8080'])
    await end(each)
  })

  it('an endpoint is mapped again from a new address of this host, and the old mapping is left to expire', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    each.traversal.addEndpoint({ ...web, address: '192.168.1.2' })
    each.traversal.addEndpoint({ ...web, port: 9090 })
    await begin(each)
    each.trace.length = 0
    each.traversal.setNetwork({ gateways: [{ ...router, localAddress: '192.168.1.9' }], addresses: ['192.168.1.9'] })
    await each.clock.advance(1000)
    expect(each.told()).toContain('lost pcp 11.0.0.2:9090')
    expect(each.trace.filter((line) => line.startsWith('release'))).toEqual([])
    await end(each)
  })

  it('a lease is renewed at once when the wall clock shows that the machine slept', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    each.trace.length = 0
    each.clock.jumpWall(3_000_000)
    each.traversal.setNetwork(home)
    await each.clock.advance(1000)
    expect(each.trace).toEqual(['renew pcp 8080'])
    await end(each)
  })
})

describe('stopping', () => {
  it('stop releases everything in time and leaves no timer', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    for (let port = 9000; port < 9010; port++) each.traversal.addEndpoint({ ...web, port })
    await begin(each)
    await end(each)
    expect(each.trace.filter((line) => line.startsWith('release'))).toHaveLength(10)
    expect(each.told().filter((line) => line.startsWith('released'))).toHaveLength(10)
    expect(each.clock.pending).toBe(0)
  })

  it('stop has a pending request undone', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock, { takesMs: 500 }).strategy])
    each.traversal.addEndpoint(web)
    await begin(each, 100)
    await end(each)
    await each.clock.advance(10_000)
    expect(each.told()).toEqual([])
    expect(each.clock.pending).toBe(0)
  })

  it('stop may be called twice, and before the start', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    await each.traversal.stop()
    each.traversal.addEndpoint(web)
    await begin(each)
    await end(each)
    await each.traversal.stop()
    expect(each.trace).toEqual(['map pcp 8080', 'release pcp 8080'])
  })

  it('start may follow a stop', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    each.traversal.addEndpoint(web)
    for (let round = 0; round < 3; round++) {
      await begin(each)
      await end(each)
    }
    expect(each.trace).toEqual(Array.from({ length: 3 }, () => ['map pcp 8080', 'release pcp 8080']).flat())
  })

  it('an endpoint that is no longer wanted is released, and the others are kept', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    const unwanted = new AbortController()
    each.traversal.addEndpoint(web, unwanted)
    each.traversal.addEndpoint({ ...web, port: 9090 })
    await begin(each)
    unwanted.abort()
    await each.clock.advance(100)
    expect(each.told().at(-1)).toBe('released pcp 11.0.0.2:8080')
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.2/tcp/9090'])
    await end(each)
  })
})

/** Maps port 7777 in a run that does not release it, and returns what the store holds then. */
async function crashedRun() {
  const store = memoryStore()
  const clock = virtualClock()
  const crashed = stage((trace) => [scripted('pcp', trace, clock).strategy], { store, clock })
  crashed.traversal.addEndpoint({ ...web, port: 7777 })
  await begin(crashed)
  return { clock, crashed, kept: memoryStore(await store.load()) }
}

describe('remembering', () => {
  it('key and endpoint are saved before the request is sent', async () => {
    const store = memoryStore()
    const seen: number[] = []
    const each = stage(
      (trace, clock) => [
        scripted('pcp', trace, clock, {
          grant: (request) => {
            void store.load().then((memories) => seen.push(memories.length))
            return request.suggestedExternalPort
          }
        }).strategy
      ],
      { store }
    )
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(seen).toEqual([1])
    await end(each)
    expect(await store.load()).toEqual([])
  })

  it('the next run after a crash requests the old mapping again, with the same key and external port', async () => {
    const store = memoryStore()
    const clock = virtualClock()
    let first: Scripted | undefined
    const crashed = stage((trace) => [(first = scripted('pcp', trace, clock, { grant: () => 9999 })).strategy], {
      store,
      clock
    })
    crashed.traversal.addEndpoint(web)
    await begin(crashed)
    const kept = memoryStore(await store.load())
    let second: Scripted | undefined
    const again = stage((trace) => [(second = scripted('pcp', trace, clock)).strategy], { store: kept, clock })
    again.traversal.addEndpoint(web)
    await begin(again)
    expect(second?.requests[0]?.suggestedExternalPort).toBe(9999)
    expect(second?.requests[0]?.key).toEqual(first?.requests[0]?.key)
    await end(again)
    await end(crashed)
  })

  it('a run requests a port that is named now, whatever an earlier run was granted', async () => {
    const store = memoryStore()
    const clock = virtualClock()
    const crashed = stage((trace) => [scripted('pcp', trace, clock).strategy], { store, clock })
    crashed.traversal.addEndpoint(web)
    await begin(crashed)
    const kept = memoryStore(await store.load())
    const again = stage((trace) => [scripted('pcp', trace, clock).strategy], { store: kept, clock })
    again.traversal.addEndpoint(web, { externalPort: 443 })
    await begin(again)
    expect(again.trace).toEqual(['map pcp 443'])
    await end(again)
    await end(crashed)
  })

  it('a run deletes a mapping that an earlier run left and that is no longer wanted', async () => {
    const { clock, kept, crashed } = await crashedRun()
    const again = stage((trace) => [scripted('pcp', trace, clock).strategy], { store: kept, clock })
    again.traversal.addEndpoint(web)
    await begin(again, 12_000)
    expect(again.trace).toEqual(['map pcp 8080', 'map pcp 7777', 'release pcp 7777'])
    await end(again)
    await end(crashed)
  })

  it('a run deletes what an earlier run left that was killed during its first request', async () => {
    const clock = virtualClock()
    const store = memoryStore()
    let atRequest: Promise<readonly Memory[]> = Promise.resolve([])
    const grant = ({ suggestedExternalPort }: MapRequest): number => {
      atRequest = store.load()
      return suggestedExternalPort
    }
    const killed = stage((trace) => [scripted('pcp', trace, clock, { grant }).strategy], { store, clock })
    killed.traversal.addEndpoint({ ...web, port: 7777 })
    await begin(killed)
    const kept = memoryStore(await atRequest)
    const again = stage((trace) => [scripted('pcp', trace, clock).strategy], { store: kept, clock })
    again.traversal.addEndpoint(web)
    await begin(again, 12_000)
    expect(again.trace).toEqual(['map pcp 8080', 'map pcp 7777', 'release pcp 7777'])
    await end(again)
    await end(killed)
  })

  it('a run deletes what an earlier run left at a router that refuses to grant it again', async () => {
    const { clock, kept, crashed } = await crashedRun()
    const undone: number[] = []
    const again = stage(
      (trace) => {
        const grant = ({ suggestedExternalPort: port }: MapRequest): number => {
          if (port === 7777) throw natError('GATEWAY_FAULT', 'no')
          return port
        }
        const { strategy } = scripted('pcp', trace, clock, { grant })
        const withUndo = (finding: Finding): Finding =>
          finding.kind === 'mapper'
            ? { ...finding, undo: async (request) => void undone.push(request.suggestedExternalPort) }
            : finding
        return [
          (host) => ({
            ...strategy(host),
            discover: (network, found, call) => strategy(host).discover(network, (each) => found(withUndo(each)), call)
          })
        ]
      },
      { store: kept, clock }
    )
    again.traversal.addEndpoint(web)
    await begin(again, 12_000)
    expect(undone).toEqual([7777])
    expect((await kept.load()).map(({ endpoint }) => endpoint.port)).toEqual([8080])
    await end(again)
    await end(crashed)
  })

  it('a run deletes an old mapping also if the hardware address of the router was unknown when it was stored', async () => {
    const { clock, kept, crashed } = await crashedRun()
    expect((await kept.load()).map(({ gateway }) => gateway.mac)).toEqual([null])
    const gateway = { ...router, mac: '02:00:00:00:00:01' }
    const again = stage((trace) => [scripted('pcp', trace, clock, { gateway }).strategy], { store: kept, clock })
    again.traversal.setNetwork({ ...home, gateways: [gateway] })
    await again.traversal.start()
    await clock.advance(12_000)
    expect(again.trace).toEqual(['map pcp 7777', 'release pcp 7777'])
    await end(again)
    await end(crashed)
  })
})

describe('arguments', () => {
  it.each([
    { ...web, port: 0 },
    { ...web, port: 70_000 },
    { ...web, address: 'localhost' },
    { ...web, address: '::' }
  ])('want throws a TypeError for %j', (endpoint) => {
    const { traversal } = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    expect(() => traversal.addEndpoint(endpoint)).toThrow(TypeError)
  })

  it('createTraversal names the invalid part of a policy', () => {
    expect(() => createTraversal({ strategies: [], policy: { requestTimeoutMs: -1 } })).toThrow(
      'policy.requestTimeoutMs'
    )
    expect(() => createTraversal({ strategies: [], policy: { relay: { count: Number.NaN } } })).toThrow(
      'policy.relay.count'
    )
  })
})

describe('strategies that misbehave', () => {
  it('a strategy that resolves at once with its findings does not delay the stop', async () => {
    const each = stage((trace, clock) => {
      const { strategy } = scripted('manual', trace, clock, { gateway: null })
      return [
        (host) => ({
          name: 'manual',
          discover: async (network, found) => {
            const stopping = new AbortController()
            const searching = strategy(host).discover(network, found, stopping)
            await Promise.resolve()
            stopping.abort()
            await searching.catch(() => undefined)
          }
        })
      ]
    })
    each.traversal.addEndpoint(web)
    await begin(each)
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('a strategy that ignores the abort does not delay the stop', async () => {
    const each = stage(() => [() => ({ name: 'deaf', kind: 'mapper', discover: () => new Promise(() => undefined) })])
    each.traversal.addEndpoint(web)
    await begin(each)
    await end(each)
    expect(each.clock.pending).toBe(0)
  })
})

describe('an external address with evidence against it', () => {
  it('an address with evidence against it does not count as reachable, and the reason becomes the cause', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], {
      checkExternalAddress: async (address) => natError('DOUBLE_NAT', `${address} lies beyond the router`)
    })
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report()).toMatchObject({
      verdict: 'private',
      cause: 'double-nat',
      candidates: [{ state: 'claimed' }]
    })
    await end(each)
  })

  it('an address is checked again, and counts as reachable once there is no more evidence', async () => {
    const trues = ['1', '1', '', '1', '', '']
    const looks: number[] = []
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], {
      checkExternalAddress: async () => {
        looks.push(each.clock.monotonicMs())
        return (trues[looks.length - 1] ?? '') === '' ? undefined : natError('DOUBLE_NAT', 'it lies beyond the router')
      }
    })
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report().verdict).toBe('private')
    await each.clock.advance(60_000 + 120_000)
    // One check found nothing, and the one that should confirm it found evidence.
    await each.clock.advance(15_000)
    expect(each.traversal.report().verdict).toBe('private')
    expect(looks).toHaveLength(4)
    await each.clock.advance(260_000)
    expect(looks).toHaveLength(6)
    expect(each.traversal.report()).toMatchObject({ verdict: 'public', candidates: [{ state: 'consistent' }] })
    await each.clock.advance(3_600_000)
    expect(looks).toHaveLength(6)
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('an address is no longer checked after the network has changed', async () => {
    let looks = 0
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], {
      checkExternalAddress: async () => {
        looks++
        return natError('DOUBLE_NAT', 'it lies beyond the router')
      }
    })
    each.traversal.addEndpoint(web)
    await begin(each)
    each.traversal.setNetwork({ gateways: [], addresses: [] })
    await each.clock.advance(1000)
    const before = looks
    await each.clock.advance(3_600_000)
    expect(looks).toBe(before)
    await end(each)
  })

  it('an address is checked before the first pass ends', async () => {
    const cleared = Promise.withResolvers<undefined>()
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], {
      checkExternalAddress: () => cleared.promise
    })
    each.traversal.addEndpoint(web)
    await begin(each, 500)
    expect(each.traversal.report().verdict).toBe('unknown')
    cleared.resolve(undefined)
    await each.clock.advance(50)
    expect(each.traversal.report().verdict).toBe('public')
    await end(each)
  })
})

describe('polling', () => {
  const poll = 15 * 60_000
  const ports = [9001, 9002, 9003]

  it('a poll asks about one lease of a gateway, and about another one each time', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    for (const port of ports) each.traversal.addEndpoint({ ...web, port })
    await begin(each, 5000)
    each.trace.length = 0
    for (let polls = 1; polls <= 6; polls++) {
      await each.clock.advance(poll)
      expect(each.trace).toHaveLength(polls)
    }
    expect(each.trace).toEqual([...ports, ...ports].map((port) => `renew pcp ${port}`))
    await end(each)
  })

  it('polls go on with the other leases while one is refused each time', async () => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock, {
        renew() {
          if (trace.at(-1) === 'renew pcp 9001') throw natError('CONFLICT', 'another host has it')
        }
      }).strategy
    ])
    for (const port of ports) each.traversal.addEndpoint({ ...web, port })
    await begin(each, 5000)
    each.trace.length = 0
    // This is less than the time until they are renewed anyway.
    await each.clock.advance(3.5 * poll)
    expect(each.trace).toEqual(expect.arrayContaining(['renew pcp 9001', 'renew pcp 9002', 'renew pcp 9003']))
    await end(each)
  })
})
