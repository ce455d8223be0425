import { type Lease, natError } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { type Memory, memoryStore, type PolicyOptions } from '../../src/index.js'
import { begin, end, home, scripted, stage, web, witnesses } from '../support.js'

describe('an endpoint that is wanted again', () => {
  it('an endpoint that is wanted again at once stays mapped, and is released at the end', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock, { takesMs: 20 }).strategy])
    const unwanted = new AbortController()
    each.traversal.addEndpoint(web, unwanted)
    await begin(each)
    unwanted.abort()
    each.traversal.addEndpoint(web)
    await each.clock.advance(1000)
    // In either order, the wanted endpoint is mapped and reported as mapped.
    const changes = each.trace.filter((line) => !line.startsWith('renew'))
    expect(changes.lastIndexOf('map pcp 8080')).toBeGreaterThan(changes.lastIndexOf('release pcp 8080'))
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    await end(each)
    expect(each.trace.at(-1)).toBe('release pcp 8080')
    expect(each.clock.pending).toBe(0)
  })

  it('an endpoint that is wanted again during its release is stored before the request is sent', async () => {
    const store = memoryStore()
    const known: (readonly Memory[])[] = []
    const each = stage(
      (trace, clock) => [
        scripted('pcp', trace, clock, {
          takesMs: 50,
          grant(request) {
            void store.load().then((all) => known.push(all))
            return request.suggestedExternalPort
          }
        }).strategy
      ],
      { store }
    )
    const unwanted = new AbortController()
    each.traversal.addEndpoint(web, unwanted)
    await begin(each)
    unwanted.abort()
    await each.clock.advance(10)
    each.traversal.addEndpoint(web)
    await each.clock.advance(2000)
    expect(known).toHaveLength(2)
    expect(known[1]).toHaveLength(1)
    expect(await store.load()).toMatchObject([{ externalPort: 8080 }])
    await end(each)
    expect(await store.load()).toEqual([])
  })

  it('an endpoint that is wanted in a loop has one mapping, and none at the end', async () => {
    const clock = virtualClock()
    const trace: string[] = []
    const pcp = scripted('pcp', trace, clock, { takesMs: 7 })
    const each = stage(() => [pcp.strategy], { clock })
    await begin(each)
    for (let round = 0; round < 50; round++) {
      const unwanted = new AbortController()
      each.traversal.addEndpoint(web, unwanted)
      await clock.advance(round)
      unwanted.abort()
    }
    each.traversal.addEndpoint(web)
    await clock.advance(5000)
    expect([...pcp.mapped]).toEqual([8080])
    await end(each)
    expect([...pcp.mapped]).toEqual([])
    expect(clock.pending).toBe(0)
  })
})

describe('two wants of one mapping', () => {
  it('two wants of one mapping keep it until both are gone', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy])
    const [one, other] = [new AbortController(), new AbortController()]
    each.traversal.addEndpoint(web, one)
    each.traversal.addEndpoint({ ...web, address: '192.168.1.2' }, other)
    await begin(each)
    one.abort()
    await each.clock.advance(1000)
    expect(each.trace.filter((line) => line.startsWith('release'))).toEqual([])
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    other.abort()
    await each.clock.advance(1000)
    expect(each.trace.filter((line) => line.startsWith('release'))).toEqual(['release pcp 8080'])
    expect(each.traversal.report().externalAddresses).toEqual([])
    await end(each)
  })
})

describe('a grant that comes too late', () => {
  /** A mapper that gives its first answer 3.5 s late, whatever it receives meanwhile. */
  const late = (
    takesMs = 1,
    policy: PolicyOptions = {}
  ): ReturnType<typeof stage> & { readonly released: string[] } => {
    const released: string[] = []
    const each = stage(
      (trace, clock) => {
        let count = 0
        const inner = scripted('pcp', trace, clock, {
          takesMs,
          shape: (lease: Lease) => ({
            ...lease,
            async release(call) {
              await lease.release(call)
              released.push(lease.addresses.join())
            }
          })
        })
        return [
          (host) => {
            const discovery = inner.strategy(host)
            return {
              ...discovery,
              discover: (network, found, call) =>
                discovery.discover(
                  network,
                  (finding) => {
                    if (finding.kind !== 'mapper') return found(finding)
                    found({
                      ...finding,
                      async map(request, inTime) {
                        if (++count > 1) return finding.map(request, inTime)
                        await clock.sleep(3500, { signal: new AbortController().signal })
                        return finding.map(request, { signal: new AbortController().signal })
                      }
                    })
                  },
                  call
                )
            }
          }
        ]
      },
      { policy }
    )
    return { ...each, released }
  }

  it('a late grant is released', async () => {
    const { released, ...each } = late()
    const unwanted = new AbortController()
    each.traversal.addEndpoint(web, unwanted)
    await begin(each, 2500)
    unwanted.abort()
    await each.clock.advance(3000)
    expect(released).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    await end(each)
    expect(each.clock.pending).toBe(0)
  })

  it('a late grant is released before a stop is over, although its endpoint is long gone', async () => {
    const { released, ...each } = late(200)
    const unwanted = new AbortController()
    each.traversal.addEndpoint(web, unwanted)
    await begin(each, 100)
    unwanted.abort()
    // The answer comes after 3.7 s, and the release takes until 3.9 s.
    await each.clock.advance(3700)
    expect(released).toEqual([])
    await end(each)
    expect(released).toEqual(['/ip4/11.0.0.2/tcp/8080'])
    expect(each.clock.pending).toBe(0)
  })

  it('a late grant is only forgotten if the same was granted meanwhile', async () => {
    const { released, ...each } = late(1, { verbMs: 2000 })
    each.traversal.addEndpoint(web)
    await begin(each, 100)
    // The attempt ends at 3 s and would be repeated at 8 s. A restart has it repeated at once.
    await each.clock.advance(2950)
    each.traversal.recheck()
    each.traversal.setNetwork({ ...home, addresses: ['192.168.1.2', '192.168.1.3'] })
    await each.clock.advance(2000)
    expect(each.told()).toContain('mapped pcp 11.0.0.2:8080')
    expect(each.told().filter((line) => line.startsWith('lost'))).toEqual([])
    expect(released).toEqual([])
    await end(each)
    expect(released).toEqual(['/ip4/11.0.0.2/tcp/8080'])
  })

  it('a late grant is left to expire after the end, when nothing runs any more', async () => {
    const { released, ...each } = late()
    each.traversal.addEndpoint(web)
    await begin(each, 100)
    await end(each)
    await each.clock.advance(10_000)
    expect(released).toEqual([])
    expect(each.clock.pending).toBe(0)
  })
})

describe('a grant that cannot be used', () => {
  it.each<[string, Partial<Lease>]>([
    ['no address', { addresses: [] }],
    ['a name', { addresses: ['/dns4/example.org/tcp/80'] }],
    ['no time', { lifetimeMs: 0 }],
    ['less than no time', { lifetimeMs: -1 }],
    ['no number of ms', { lifetimeMs: Number.NaN }]
  ])('a grant with %s is released before the next strategy is asked', async (_, wrong) => {
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock, { shape: (lease) => ({ ...lease, ...wrong }) }).strategy,
      scripted('upnp', trace, clock).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.trace).toEqual(['map pcp 8080', 'release pcp 8080', 'map upnp 8080'])
    expect(each.traversal.report().strategies[0]).toMatchObject({ state: 'failed', reason: { code: 'GRANT_INVALID' } })
    await end(each)
  })

  it('an invalid grant does not end the lease that it was to replace', async () => {
    const shapes = [{}, { addresses: [] }, { lifetimeMs: Number.NaN }, {}]
    const each = stage((trace, clock) => [
      scripted('pcp', trace, clock, {
        lifetimeMs: 600_000,
        shape: (lease) => ({ ...lease, ...shapes.shift() })
      }).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each, 590_000)
    expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080', 'renewed pcp 11.0.0.2:8080'])
    await end(each)
    expect(each.trace.filter((line) => line.startsWith('release'))).toHaveLength(1)
  })

  it('a grant may have a lifetime beyond what a date can express', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock, { lifetimeMs: 1e300 }).strategy])
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report().candidates).toMatchObject([{ expiresAt: null }])
    expect(each.events[0]).toMatchObject({ event: 'mapped', lifetimeSeconds: null })
    await end(each)
    expect(each.trace.at(-1)).toBe('release pcp 8080')
  })
})

describe('an endpoint on a global address of this host', () => {
  const global = { gateways: home.gateways, addresses: ['192.168.1.2', '11.0.0.7', '2a00:1::7'] }

  it('a global address of this host is a candidate while its endpoint is wanted', async () => {
    const each = stage((trace, clock) => [scripted('pcp', trace, clock).strategy], { network: global })
    const unwanted = new AbortController()
    await begin(each)
    each.traversal.addEndpoint(web, unwanted)
    await each.clock.advance(100)
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.7/tcp/8080', '/ip4/11.0.0.2/tcp/8080'])
    unwanted.abort()
    await each.clock.advance(100)
    expect(each.traversal.report().externalAddresses).toEqual([])
    await end(each)
  })

  it('a global address of this host is still a candidate when its pinhole has gone', async () => {
    const refuse = (): never => {
      throw natError('NOT_AUTHORIZED', 'no')
    }
    let isOpen = true
    const each = stage(
      (trace, clock) => [
        scripted('pcp', trace, clock, {
          family: 6,
          externalAddress: '2a00:1::7',
          lifetimeMs: 60_000,
          grant: ({ suggestedExternalPort }) => (isOpen ? suggestedExternalPort : refuse()),
          renew: refuse
        }).strategy
      ],
      { network: global }
    )
    each.traversal.addEndpoint({ ...web, family: 6, address: '2a00:1::7' })
    await begin(each)
    expect(each.traversal.report().candidates).toMatchObject([{ type: 'mapped', state: 'consistent' }])
    isOpen = false
    await each.clock.advance(60_000)
    expect(each.traversal.report().candidates).toMatchObject([{ type: 'local', state: 'claimed', strategy: null }])
    await end(each)
    expect(each.traversal.report().candidates).toEqual([])
  })
})

describe('what follows the port', () => {
  it('a suffix is in every address of its endpoint, mapped or its own, and witnesses verify it', async () => {
    const asked: string[] = []
    const network = { ...home, addresses: ['192.168.1.2', '12.0.0.9'] }
    const each = stage(
      (trace, clock) => [
        scripted('pcp', trace, clock).strategy,
        witnesses({ a: 'reachable', b: 'reachable' }, clock, asked)
      ],
      { network }
    )
    const unwanted = new AbortController()
    each.traversal.addEndpoint({ ...web, protocol: 'udp' }, { suffix: '/quic-v1', signal: unwanted.signal })
    await begin(each)
    const addresses = ['/ip4/12.0.0.9/udp/8080/quic-v1', '/ip4/11.0.0.2/udp/8080/quic-v1']
    expect(each.traversal.report().externalAddresses).toEqual(addresses)
    expect(asked.toSorted()).toEqual(addresses.flatMap((address) => [`a ${address}`, `b ${address}`]).toSorted())
    expect(each.told()).toContain('verified pcp 11.0.0.2:8080')
    unwanted.abort()
    await each.clock.advance(1000)
    expect(each.traversal.report().externalAddresses).toEqual([])
    await end(each)
  })

  it('a suffix consists of parts of a multiaddr only', () => {
    const { traversal } = stage(() => [])
    expect(() => traversal.addEndpoint(web, { suffix: 'ws' })).toThrow(TypeError)
    expect(() => traversal.addEndpoint(web, { suffix: '/ws/' })).toThrow(TypeError)
  })
})
