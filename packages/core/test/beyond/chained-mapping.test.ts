import { formatMultiaddr, type Gateway, type Lease, type Mapper, type Network, natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import type { PolicyOptions } from '../../src/index.js'
import { begin, end, home, router, type Stage, stage, web } from '../support.js'

/** Two routers in a row, and what they were asked. */
interface Routers {
  /** The external address of the next hop, and that of the router behind it. */
  near: string
  far: string
  /** The external port that the next hop grants. */
  nearPort: number
  readonly takesMs: { map: number; release: number; search: number }
  /** Refuses every request to the router behind the next hop. */
  isFarDown: boolean
  isNearDown: boolean
  /** Answers no search behind the next hop. */
  readonly isSilentBeyond: boolean
  /** The networks in which the strategy has searched. */
  readonly searched: Network[]
}

/** Creates a stage with a strategy that asks both routers. */
function twoRouters(
  changes: Partial<Routers> = {},
  { asksBeyond = true, policy = {} }: { asksBeyond?: boolean; policy?: PolicyOptions } = {}
): { readonly each: Stage; readonly routers: Routers } {
  const clock = virtualClock()
  const routers: Routers = {
    near: '192.168.0.2',
    far: '11.0.0.2',
    nearPort: 8080,
    takesMs: { map: 1, release: 1, search: 1 },
    isFarDown: false,
    isNearDown: false,
    isSilentBeyond: false,
    searched: [],
    ...changes
  }
  const mapperAt = (gateway: Gateway, trace: string[]): Mapper => {
    const isFar = gateway.through !== undefined
    const name = isFar ? 'far' : 'near'
    const check = (): void => {
      if (isFar ? routers.isFarDown : routers.isNearDown) throw natError('NO_REPLY', 'it is silent')
    }
    const leaseOf = (port: number, lifetimeMs: number): Lease => ({
      addresses: [formatMultiaddr(isFar ? routers.far : routers.near, 'tcp', port)],
      lifetimeMs,
      async renew(call) {
        trace.push(`renew ${name}`)
        await clock.sleep(routers.takesMs.map, call)
        check()
        return leaseOf(isFar ? port : routers.nearPort, lifetimeMs)
      },
      async release(call) {
        trace.push(`release ${name} ${port}`)
        await clock.sleep(routers.takesMs.release, call)
        trace.push(`released ${name}`)
      }
    })
    return {
      kind: 'mapper',
      gateway,
      family: 4,
      protocols: ['tcp', 'udp'],
      async map({ endpoint, suggestedExternalPort, lifetimeMs }, call) {
        trace.push(`map ${name} ${endpoint.address}:${endpoint.port}`)
        await clock.sleep(routers.takesMs.map, call)
        check()
        return leaseOf(isFar ? suggestedExternalPort : routers.nearPort, lifetimeMs)
      }
    }
  }
  const each = stage(
    (trace) => [
      () => ({
        name: 'pcp',
        kind: 'mapper',
        asksBeyond,
        async discover(network, found, call) {
          routers.searched.push(network)
          const isBeyond = network.gateways[0]?.through !== undefined
          await clock.sleep(isBeyond && routers.isSilentBeyond ? 1e9 : routers.takesMs.search, call)
          // Of several guesses the first one is a router.
          const [gateway] = network.gateways
          if (gateway !== undefined) found(mapperAt(gateway, trace))
          await clock.sleep(1e12, call).catch(() => undefined)
        }
      })
    ],
    { clock, policy }
  )
  each.traversal.addEndpoint(web)
  return { each, routers }
}

describe('a mapping on a mapping', () => {
  it('the endpoint of the next hop is mapped at the router behind it, with its address and the port that it granted', async () => {
    const { each, routers } = twoRouters({ nearPort: 8081 })
    await begin(each)
    expect(each.trace).toEqual(['map near 192.168.1.2:8080', 'map far 192.168.0.2:8081'])
    // There is one external address for the program. The event names the socket of this host, and what is in between.
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8081'])
    expect(each.events[0]).toMatchObject({
      internal: { address: '192.168.1.2', port: 8080 },
      through: { address: '192.168.0.2', port: 8081 },
      lifetimeSeconds: 600
    })
    expect(each.traversal.report()).toMatchObject({
      verdict: 'public',
      strategies: [{ state: 'active' }, { state: 'active', gateway: '192.168.0.1', through: '192.168.1.1' }],
      candidates: [
        { address: '/ip4/192.168.0.2/tcp/8081', state: 'claimed' },
        {
          address: '/ip4/11.0.0.2/tcp/8081',
          state: 'consistent',
          through: '/ip4/192.168.0.2/tcp/8081',
          endpoint: { address: '192.168.1.2', port: 8080 }
        }
      ]
    })
    const [, beyond] = routers.searched
    expect(beyond?.gateways).toEqual(
      ['192.168.0.1', '192.168.0.254'].map((address) => ({
        address,
        interface: 'eth0',
        localAddress: '192.168.1.2',
        through: { gateway: router, clientAddress: '192.168.0.2' }
      }))
    )
    await end(each)
    expect(each.trace.slice(2)).toEqual(['release far 8081', 'released far', 'release near 8081', 'released near'])
    expect(each.told().slice(1)).toEqual(['released pcp 11.0.0.2:8081'])
    expect(each.clock.pending).toBe(0)
  })

  it.each([
    ['the address is global', { near: '12.0.0.2' }, true],
    ['the strategy asks no router behind the next hop', {}, false],
    ['the address is that of no network of a router', { near: '198.18.0.2' }, true]
  ] as const)('nothing is asked behind the next hop where %s', async (_, changes, asksBeyond) => {
    const { each, routers } = twoRouters(changes, { asksBeyond })
    await begin(each, 60_000)
    expect(routers.searched).toHaveLength(1)
    expect(each.trace).toEqual(['map near 192.168.1.2:8080'])
    await end(each)
  })

  it('the grant of the next hop is told when it is clear that no router behind it maps', async () => {
    const { each, routers } = twoRouters({ isFarDown: true })
    await begin(each)
    expect(each.told()).toEqual(['mapped pcp 192.168.0.2:8080'])
    expect(each.traversal.report()).toMatchObject({ verdict: 'private', cause: 'double-nat' })
    routers.isFarDown = false
    await each.clock.advance(600_000)
    expect(each.told()[1]).toBe('mapped pcp 11.0.0.2:8080')
    await each.clock.advance(7_200_000)
    // One external address at a time: the renewals of the next hop are not told any more.
    expect(new Set(each.told().slice(1))).toEqual(new Set(['mapped pcp 11.0.0.2:8080', 'renewed pcp 11.0.0.2:8080']))
    expect(each.trace).toContain('renew near')
    await end(each)
    expect(each.told().slice(-2)).toEqual(['released pcp 11.0.0.2:8080', 'released pcp 192.168.0.2:8080'])
  })

  it('the grant of the next hop is told after some seconds where the routers behind it are silent', async () => {
    const { each } = twoRouters({ isSilentBeyond: true })
    await begin(each, 7000)
    expect(each.told()).toEqual([])
    await each.clock.advance(2000)
    expect(each.told()).toEqual(['mapped pcp 192.168.0.2:8080'])
    await end(each)
  })

  it('many endpoints make one search, and each its own mapping', async () => {
    const { each, routers } = twoRouters()
    routers.nearPort = 8080
    for (let port = 8081; port < 8090; port++) each.traversal.addEndpoint({ ...web, port })
    await begin(each, 5000)
    expect(routers.searched).toHaveLength(2)
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('no third router is asked: the address of the second one stays a claim', async () => {
    const { each, routers } = twoRouters({ far: '10.0.0.2' })
    await begin(each, 60_000)
    expect(routers.searched).toHaveLength(2)
    const { verdict, cause, advice } = each.traversal.report()
    expect([verdict, cause]).toEqual(['private', 'double-nat'])
    expect(advice[0]).toContain(
      'forward TCP port 8080 to 10.0.0.2, port 8080, by hand in the third one (probably 10.0.0.1)'
    )
    await end(each)
  })

  it('the router behind the next hop is polled every two minutes', async () => {
    const { each } = twoRouters()
    await begin(each)
    await each.clock.advance(7 * 60_000)
    expect(each.trace.filter((line) => line === 'renew far').length).toBe(3)
    expect(each.trace).not.toContain('renew near')
    await end(each)
  })

  it('the outer mapping is released when the inner one is lost, and made again with it', async () => {
    const { each, routers } = twoRouters()
    await begin(each)
    routers.isNearDown = true
    await each.clock.advance(7_200_000)
    expect(each.trace).toContain('released far')
    // The program did not give it up: it is lost to it, for the reason of the next hop.
    const ends = each.events.filter(({ event }) => event !== 'renewed').slice(1)
    expect(ends).toMatchObject([{ event: 'lost', external: { address: '11.0.0.2' }, reasons: [{ code: 'NO_REPLY' }] }])
    expect(each.traversal.report().candidates).toEqual([])
    routers.isNearDown = false
    await each.clock.advance(600_000)
    const mapped = each.told().filter((text) => text.startsWith('mapped'))
    expect(mapped.slice(1)).toEqual(['mapped pcp 11.0.0.2:8080'])
    await end(each)
  })

  it('the inner mapping is kept while the outer router is away, and the outer one is made again', async () => {
    const { each, routers } = twoRouters()
    await begin(each)
    routers.isFarDown = true
    await each.clock.advance(700_000)
    expect(each.told().filter((text) => text.startsWith('lost'))).toEqual(['lost pcp 11.0.0.2:8080'])
    expect(each.traversal.report()).toMatchObject({ verdict: 'private', cause: 'double-nat' })
    routers.isFarDown = false
    await each.clock.advance(400_000)
    expect(each.told().filter((text) => text === 'mapped pcp 11.0.0.2:8080')).toHaveLength(2)
    expect(each.trace.filter((line) => line.startsWith('release'))).toEqual([])
    await end(each)
  })

  it('another port of the next hop moves the outer mapping', async () => {
    const { each, routers } = twoRouters()
    await begin(each)
    routers.nearPort = 9090
    each.traversal.recheck()
    await each.clock.advance(10_000)
    expect(each.trace).toContain('release far 8080')
    expect(each.trace).toContain('map far 192.168.0.2:9090')
    expect(routers.searched).toHaveLength(2)
    await end(each)
  })

  it('another address of the next hop ends the outer mapping without a request, and makes another one', async () => {
    const { each, routers } = twoRouters()
    await begin(each)
    routers.near = '192.168.5.2'
    each.traversal.recheck()
    await each.clock.advance(10_000)
    expect(each.told().filter((text) => text.startsWith('lost'))).toEqual(['lost pcp 11.0.0.2:8080'])
    expect(each.trace.filter((line) => line.startsWith('release'))).toEqual([])
    expect(each.trace.at(-1)).toBe('map far 192.168.5.2:8080')
    expect(routers.searched.at(-1)?.gateways[0]?.address).toBe('192.168.5.1')
    await end(each)
  })

  it('a network that this host has left is sent nothing', async () => {
    const { each } = twoRouters()
    await begin(each)
    each.traversal.setNetwork({ gateways: [], addresses: [] })
    await each.clock.advance(1000)
    expect(each.told().slice(1)).toEqual(['lost pcp 11.0.0.2:8080'])
    expect(each.trace).toHaveLength(2)
    await end(each)
    expect(each.trace).toHaveLength(2)
  })

  it('an outer router that does not answer delays the release of the inner mapping, and does not prevent it', async () => {
    const { each, routers } = twoRouters()
    await begin(each)
    routers.takesMs.release = 1e9
    const stopped = end(each)
    await stopped
    expect(each.trace.slice(2)).toEqual(['release far 8080', 'release near 8080'])
    expect(each.clock.pending).toBe(0)
  })

  it('an endpoint that is removed during the search leaves nothing', async () => {
    const { each, routers } = twoRouters({ takesMs: { map: 1, release: 1, search: 5000 } })
    const controller = new AbortController()
    each.traversal.addEndpoint({ ...web, port: 8081 }, { signal: controller.signal })
    await begin(each, 5500)
    controller.abort()
    await end(each)
    expect(routers.searched).toHaveLength(2)
    expect(each.clock.pending).toBe(0)
  })

  it('the verdict is unknown while a slow router behind the next hop may still answer', async () => {
    const { each, routers } = twoRouters()
    routers.takesMs.search = 3000
    await begin(each, 4500)
    expect(each.traversal.report().verdict).toBe('unknown')
    await each.clock.advance(3000)
    expect(each.traversal.report().verdict).toBe('public')
    await end(each)
  })

  it('a host that moves to a network of the same router address does not take the mapping with it', async () => {
    const { each, routers } = twoRouters()
    const at = (mac: string): Network => ({ ...home, gateways: [{ ...router, mac }] })
    each.traversal.setNetwork(at('02:00:00:00:00:01'))
    await begin(each)
    each.traversal.setNetwork(at('02:00:00:00:00:02'))
    await each.clock.advance(30_000)
    expect(each.told().filter((text) => text.endsWith('11.0.0.2:8080'))).toEqual([
      'mapped pcp 11.0.0.2:8080',
      'lost pcp 11.0.0.2:8080',
      'mapped pcp 11.0.0.2:8080'
    ])
    expect(each.trace.filter((line) => line.startsWith('release'))).toEqual([])
    expect(routers.searched.filter(({ gateways }) => gateways[0]?.through !== undefined)).toHaveLength(2)
    await end(each)
    expect(each.clock.pending).toBe(0)
  })
})

describe('a next hop that claims an address beyond it', () => {
  it('is followed when the check finds that, without a client address', async () => {
    const clock = virtualClock()
    const networks: Network[] = []
    let isBeyond = false
    const each = stage(
      (trace) => [
        () => ({
          name: 'nat-pmp',
          kind: 'mapper',
          asksBeyond: true,
          async discover(network, found, call) {
            networks.push(network)
            const [gateway] = network.gateways
            if (gateway !== undefined)
              found({
                kind: 'mapper',
                gateway,
                family: 4,
                protocols: ['tcp'],
                async map({ lifetimeMs, suggestedExternalPort }) {
                  trace.push(`map ${gateway.address}`)
                  const isFar = gateway.through !== undefined
                  const lease: Lease = {
                    addresses: [formatMultiaddr(isFar ? '11.0.0.2' : '12.0.0.9', 'tcp', suggestedExternalPort)],
                    lifetimeMs,
                    renew: async () => lease,
                    release: async () => void trace.push(`release ${gateway.address}`)
                  }
                  return lease
                }
              })
            await clock.sleep(1e12, call).catch(() => undefined)
          }
        })
      ],
      {
        clock,
        async checkExternalAddress(address, call) {
          await clock.sleep(3000, call)
          return isBeyond ? natError('DOUBLE_NAT', `${address} lies beyond`) : undefined
        }
      }
    )
    isBeyond = true
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    expect(networks).toHaveLength(2)
    expect(networks[1]?.gateways.length).toBeLessThanOrEqual(16)
    expect(networks[1]?.gateways.some(({ address }) => address.startsWith('192.168.1.'))).toBe(false)
    expect(networks[1]?.gateways[0]?.through).toEqual({ gateway: router })
    expect(each.traversal.report()).toMatchObject({
      verdict: 'public',
      candidates: [
        { address: '/ip4/12.0.0.9/tcp/8080', state: 'claimed' },
        { address: '/ip4/11.0.0.2/tcp/8080', state: 'consistent' }
      ]
    })
    await end(each)
    expect(each.trace.slice(2)).toEqual(['release 192.168.0.1', 'release 192.168.1.1'])
  })
})
