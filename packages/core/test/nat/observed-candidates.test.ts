import type {
  Endpoint,
  MultiaddrText,
  Network,
  ObservedNotice,
  Observer,
  RemoteParty,
  Strategy
} from '@postern/interface'
import { natError } from '@postern/interface'
import { type VirtualClock, virtualClock } from '@postern/testkit'
import { describe, expect, it, vi } from 'vitest'
import { absent, begin, end, home, party, type Stage, scripted, stage, web, witnesses } from '../support.js'

const seen = '/ip4/11.0.0.2/tcp/4001'
const own = '/ip4/11.0.0.2/tcp/8080'

const away: Network = {
  gateways: [{ address: '192.168.9.1', interface: 'eth0', localAddress: '192.168.9.2' }],
  addresses: ['192.168.9.2']
}

const said = (by: RemoteParty, address: MultiaddrText, isListener = false): ObservedNotice => ({
  kind: 'notice',
  what: 'observed',
  party: by,
  address,
  isListener
})

const [alpha, bravo] = [party('alpha', '31.0.0.0/16'), party('bravo', '32.0.0.0/16')]

interface Seen extends Stage {
  readonly asked: string[]
  say(notice: ObservedNotice): void
}

/** Sets up a traversal that no router serves, with witnesses and a strategy that passes on what parties say. */
function setUp(
  answers: Parameters<typeof witnesses>[0] = { a: 'reachable', b: 'reachable' },
  more: (trace: string[], clock: VirtualClock) => readonly Strategy[] = (_, clock) => [absent('pcp', clock)],
  options: Parameters<typeof stage>[1] = {}
): Seen {
  const asked: string[] = []
  let tell: ((notice: ObservedNotice) => void) | undefined
  const clock = virtualClock()
  const observing: Strategy = () => ({
    name: 'identify',
    kind: 'witness',
    async discover(_network, found, call) {
      tell = found
      await clock.sleep(1e12, call).catch(() => undefined)
    }
  })
  const each = stage((trace) => [...more(trace, clock), witnesses(answers, clock, asked), observing], {
    clock,
    ...options
  })
  return { ...each, asked, say: (notice) => tell?.(notice) }
}

/** Has parties on two networks see this host at the same address. */
function sayBoth({ say }: Seen): void {
  say(said(alpha, seen))
  say(said(bravo, seen))
}

const states = ({ traversal }: Stage): readonly string[] =>
  traversal.report().candidates.map(({ address, type, state }) => `${type} ${address} ${state}`)

/** A strategy of observers that are found when the test tells them to `servers`. */
const foundLater =
  (servers: { tell?: (ability: Observer) => void }, clock: () => ReturnType<typeof setUp>['clock']): Strategy =>
  () => ({
    name: 'stun',
    kind: 'observer',
    async discover(_network, found, call) {
      servers.tell = found
      await clock()
        .sleep(1e12, call)
        .catch(() => undefined)
    }
  })

/** Wants an endpoint, and lends a socket that is bound there. */
function shareSocket({ traversal }: ReturnType<typeof setUp>, endpoint: Endpoint): void {
  traversal.addEndpoint(endpoint)
  traversal.shareSocket(() => ({
    endpoint: { ...endpoint, address: '192.168.1.2' },
    send: () => undefined,
    receive: () => undefined
  }))
}

describe('addresses that remote parties see', () => {
  it.each([
    ['before', 400],
    ['while', 103]
  ])(
    'a router that opens the port %s witnesses try it in vain has the address tried again at once',
    async (_, takesMs) => {
      const answers: Record<string, 'reachable' | 'unreachable'> = { a: 'unreachable', b: 'unreachable' }
      const each = setUp(answers, (trace, clock) => [
        scripted('pcp', trace, clock, {
          takesMs,
          grant: ({ suggestedExternalPort }) => {
            answers['a'] = answers['b'] = 'reachable'
            return suggestedExternalPort
          }
        }).strategy
      ])
      each.traversal.addEndpoint(web)
      await begin(each, 100)
      sayBoth(each)
      await each.clock.advance(1000)
      expect(each.told()).toEqual(['mapped pcp 11.0.0.2:8080', 'verified pcp 11.0.0.2:8080'])
      expect(each.traversal.report()).toMatchObject({ verdict: 'public', cause: null })
      await end(each)
    }
  )

  it('an address that two networks see is verified with the own port, and announced then and not before', async () => {
    const each = setUp()
    each.traversal.addEndpoint(web)
    await begin(each)
    each.say(said(alpha, seen))
    await each.clock.advance(1000)
    expect([states(each), each.asked]).toEqual([[], []])
    each.say(said(bravo, '/ip4/11.0.0.2/tcp/5555'))
    await each.clock.advance(2)
    expect(each.traversal.report()).toMatchObject({ verdict: 'unknown', cause: null, externalAddresses: [] })
    await each.clock.advance(1000)
    expect(each.traversal.report()).toMatchObject({
      verdict: 'public',
      cause: null,
      externalAddresses: [own],
      candidates: [{ type: 'observed', strategy: 'identify', endpoint: { address: '192.168.1.2', port: 8080 } }]
    })
    expect(each.told()).toEqual(['failed null undefined:undefined', 'verified identify 11.0.0.2:8080'])
    expect(each.asked).toEqual([`a ${own}`, `b ${own}`])
    await end(each)
    expect(each.told()).toHaveLength(2)
    expect(each.clock.pending).toBe(0)
  })

  it('an address that witnesses do not reach is not announced, and the verdict is that of the router', async () => {
    const each = setUp({ a: 'unreachable', b: 'unreachable' })
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(2)
    expect(each.traversal.report().verdict).toBe('unknown')
    await each.clock.advance(1000)
    expect(states(each)).toEqual([`observed ${own} refuted`])
    expect(each.traversal.report()).toMatchObject({
      verdict: 'private',
      cause: 'no-mapping-service',
      externalAddresses: []
    })
    expect(each.told()).toEqual(['failed null undefined:undefined'])
    // The usual back-off: a port that is forwarded later is found.
    const rounds = each.asked.length / 2
    await each.clock.advance(3_600_000)
    expect(each.asked.length / 2 - rounds).toBeLessThan(12)
    expect(each.asked.length / 2 - rounds).toBeGreaterThan(4)
    await end(each)
  })

  it('an address that witnesses neither reach nor refute leaves the verdict to the router after one round', async () => {
    const each = setUp({ a: 'inconclusive', b: 'inconclusive' })
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(1000)
    expect(states(each)).toEqual([`observed ${own} claimed`])
    expect(each.traversal.report()).toMatchObject({ verdict: 'private', externalAddresses: [] })
    await end(each)
  })

  it.each([
    ['one network, however many of its peers say so', [said(alpha, seen), said(party('other', alpha.network), seen)]],
    ['two networks that see different addresses', [said(alpha, seen), said(bravo, '/ip4/11.0.0.3/tcp/4001')]],
    [
      'two networks that see a private address',
      ['alpha', 'bravo'].map((id, at) => said(party(id, `3${at}.0.0.0/16`), '/ip4/192.168.7.7/tcp/1'))
    ],
    [
      'two networks that name the address of a relay',
      ['x', 'y'].map((id, at) => said(party(id, `3${at}.0.0.0/16`), '/ip4/47.1.2.3/tcp/1'))
    ]
  ])('no witness is asked because of %s', async (_, notices) => {
    const relay: Strategy = () => ({
      name: 'relay',
      kind: 'relay',
      async discover(_network, found) {
        found({
          kind: 'relay',
          party: party('47.1.2.3:4001', '47.1.0.0/16'),
          reserve: async () => Promise.reject(natError('NO_REPLY', 'away'))
        })
      }
    })
    const each = setUp(undefined, () => [relay])
    each.traversal.addEndpoint(web)
    await begin(each)
    for (const notice of notices) each.say(notice)
    await each.clock.advance(60_000)
    expect([each.asked, states(each), each.traversal.report().externalAddresses]).toEqual([[], [], []])
    await end(each)
  })

  it('an address of this host itself stays a local candidate', async () => {
    const each = setUp(undefined, undefined, { network: { ...home, addresses: ['192.168.1.2', '11.0.0.2'] } })
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(1000)
    expect(states(each)).toEqual([`local ${own} verified`])
    await end(each)
  })

  it('with a quorum of one, only the witnesses that see the address themselves are asked about it', async () => {
    const each = setUp({ a: 'reachable', b: 'reachable' }, undefined, { policy: { quorum: 1 } })
    each.traversal.addEndpoint(web)
    await begin(each)
    each.say(said(party('somewhere', '33.0.0.0/16'), seen))
    await each.clock.advance(1000)
    expect(each.asked).toEqual([])
    each.say(said(party('b', '21.0.0.0/16'), '/ip4/11.0.0.7/tcp/1'))
    await each.clock.advance(1000)
    expect(each.asked).toEqual(['b /ip4/11.0.0.7/tcp/8080'])
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.7/tcp/8080'])
    await end(each)
  })

  it('a port that a peer has dialled is tried too, and at most eight addresses are', async () => {
    const each = setUp({ a: 'unreachable', b: 'unreachable' }, undefined, { policy: { maxRequestsPerMinute: 1000 } })
    each.traversal.addEndpoint(web)
    await begin(each)
    each.say(said(alpha, seen))
    each.say(said(bravo, '/ip4/11.0.0.2/tcp/5001', true))
    await each.clock.advance(1000)
    expect(states(each)).toEqual(['observed /ip4/11.0.0.2/tcp/5001 refuted', `observed ${own} refuted`])
    for (let count = 0; count < 40; count++)
      each.say(said(party(`liar${count}`, `${60 + count}.0.0.0/16`), `/ip4/11.0.0.2/tcp/${6000 + count}`, true))
    await each.clock.advance(1000)
    expect(states(each)).toHaveLength(8)
    expect(states(each)).toContain(`observed ${own} refuted`)
    await end(each)
  })

  it('parties of one network have one port tried, and neither they nor many others displace a verified address', async () => {
    const each = setUp(undefined, undefined, { policy: { maxRequestsPerMinute: 1000 } })
    each.traversal.addEndpoint(web)
    await begin(each)
    each.say(said(alpha, seen))
    each.say(said(bravo, '/ip4/11.0.0.2/tcp/5001', true))
    await each.clock.advance(1000)
    for (let count = 0; count < 200; count++) {
      each.say(said(party(`liar${count}`, '39.0.0.0/16'), `/ip4/11.0.0.2/tcp/${6000 + count}`, true))
      await each.clock.advance(100)
    }
    await each.clock.advance(1000)
    expect(states(each)).toEqual(
      ['/ip4/11.0.0.2/tcp/5001', own, '/ip4/11.0.0.2/tcp/6000'].map((address) => `observed ${address} verified`)
    )
    for (let count = 0; count < 20; count++)
      each.say(said(party(`more${count}`, `${60 + count}.0.0.0/16`), `/ip4/11.0.0.2/tcp/${7000 + count}`, true))
    await each.clock.advance(10_000)
    expect(states(each)).toContain(`observed ${own} verified`)
    expect(each.told().filter((event) => event.startsWith('lost'))).toEqual([])
    await end(each)
  })

  it('a party that names one port after the other has one of them tried in ten minutes', async () => {
    const each = setUp({ a: 'unreachable', b: 'unreachable' }, undefined, { policy: { maxRequestsPerMinute: 1000 } })
    each.traversal.addEndpoint(web)
    await begin(each)
    each.say(said(alpha, seen))
    for (let count = 0; count < 100; count++) {
      each.say(said(bravo, `/ip4/11.0.0.2/tcp/${6000 + count}`, true))
      await each.clock.advance(1000)
    }
    expect(new Set(each.asked.map((text) => text.split('/').at(-1)))).toEqual(new Set(['6000', '8080']))
    await each.clock.advance(600_000)
    each.say(said(bravo, '/ip4/11.0.0.2/tcp/7000', true))
    await each.clock.advance(1000)
    expect(states(each)).toEqual(expect.arrayContaining(['observed /ip4/11.0.0.2/tcp/7000 refuted']))
    await end(each)
  })

  it('every address that parties see is tried, also that of the last ones with many endpoints', async () => {
    const each = setUp(undefined, undefined, { policy: { maxRequestsPerMinute: 1000 } })
    for (let port = 8000; port < 8020; port++) each.traversal.addEndpoint({ ...web, port })
    await begin(each)
    for (const by of [alpha, bravo]) each.say(said(by, '/ip4/11.0.0.9/tcp/1'))
    for (const id of ['x', 'y']) each.say(said(party(id, `5${id === 'x' ? 1 : 2}.0.0.0/16`), seen))
    await each.clock.advance(2000)
    const ips = states(each).map((text) => text.split('/')[2])
    expect([ips.length, new Set(ips)]).toEqual([8, new Set(['11.0.0.9', '11.0.0.2'])])
    await end(each)
  })

  it('a UDP address is not tried from the network of a server that the socket has asked, also one without an answer', async () => {
    const game: Endpoint = { protocol: 'udp', family: 4, address: '0.0.0.0', port: 6000 }
    const servers: { tell?: (ability: Observer) => void } = {}
    const answers = { a: 'reachable', b: 'reachable', c: 'reachable', d: 'reachable' } as const
    const each = setUp(answers, () => [foundLater(servers, () => each.clock)])
    shareSocket(each, game)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(1000)
    expect(each.asked.map((text) => text[0])).toEqual(['a', 'b'])
    const server = (index: number, observe: Observer['observe']): void =>
      servers.tell?.({ kind: 'observer', party: party(`stun${index}`, `${20 + index}.0.0.0/16`), observe })
    server(0, async () => ({ address: '/ip4/11.0.0.2/udp/6000' }))
    server(1, async () => Promise.reject(natError('NO_REPLY', 'silence')))
    await each.clock.advance(1000)
    each.asked.length = 0
    await each.clock.advance(3_600_000)
    expect(new Set(each.asked.map((text) => text[0]))).toEqual(new Set(['c', 'd']))
    await end(each)
  })

  it('a yes of a witness counts for nothing if the socket has asked a server in its network while it tried', async () => {
    const game: Endpoint = { protocol: 'udp', family: 4, address: '0.0.0.0', port: 6000 }
    const servers: { tell?: (ability: Observer) => void } = {}
    const asked: string[] = []
    const slow: Strategy = () => ({
      name: 'slow',
      kind: 'witness',
      async discover(_network, found, call) {
        for (const index of [0, 1])
          found({
            kind: 'witness',
            party: party(`w${index}`, `${20 + index}.0.0.0/16`),
            async verify(address, within) {
              asked.push(address)
              await each.clock.sleep(200, within)
              return { outcome: 'reachable' }
            }
          })
        await each.clock.sleep(1e12, call).catch(() => undefined)
      }
    })
    const each = setUp({}, () => [slow, foundLater(servers, () => each.clock)])
    shareSocket(each, game)
    await begin(each)
    sayBoth(each)
    for (let ms = 0; asked.length < 2 && ms < 2000; ms += 10) await each.clock.advance(10)
    for (const index of [0, 1])
      servers.tell?.({
        kind: 'observer',
        party: party(`stun${index}`, `${20 + index}.0.0.0/16`),
        observe: async () => ({ address: '/ip4/11.0.0.2/udp/6000' })
      })
    await each.clock.advance(1000)
    expect(asked).toHaveLength(2)
    expect(states(each)).toEqual(['observed /ip4/11.0.0.2/udp/6000 claimed'])
    await end(each)
  })

  it('a port of another transport is not tried', async () => {
    const each = setUp()
    each.traversal.addEndpoint(web, { suffix: '/ws' })
    await begin(each)
    each.say(said(alpha, '/ip4/11.0.0.2/tcp/5001', true))
    each.say(said(bravo, '/ip4/11.0.0.2/tcp/5002/ws', true))
    await each.clock.advance(1000)
    expect(states(each)).toEqual(
      ['/ip4/11.0.0.2/tcp/5002/ws', `${own}/ws`].map((address) => `observed ${address} verified`)
    )
    await end(each)
  })

  it('a port that a router maps without its address is verified at the address that parties see', async () => {
    const each = setUp(undefined, (trace, clock) => [
      scripted('upnp', trace, clock, { externalAddress: '0.0.0.0', grant: () => 9000 }).strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(1000)
    expect(each.traversal.report().verdict).toBe('public')
    expect(each.traversal.report().externalAddresses).toEqual(['/ip4/11.0.0.2/tcp/9000', own])
    expect(each.told()).toContain('verified upnp 11.0.0.2:9000')
    await end(each)
  })

  it('the search for guesses among mapped ports without an address does not grow with their square', async () => {
    const costOf = async (ports: number): Promise<number> => {
      const each = setUp(undefined, (trace, clock) => [
        scripted('upnp', trace, clock, { externalAddress: '0.0.0.0' }).strategy
      ])
      for (let port = 5000; port < 5000 + ports; port++) each.traversal.addEndpoint({ ...web, port })
      await begin(each, 20_000)
      let looks = 0
      const find = Array.prototype.find
      const spy = vi.spyOn(Array.prototype, 'find').mockImplementation(function (this: unknown[], is, self) {
        return find.call(this, (...of) => {
          looks++
          return is.apply(self, of)
        })
      })
      each.say(said(alpha, seen))
      each.say(said(bravo, '/ip4/11.0.0.2/tcp/6001', true))
      await each.clock.advance(100)
      spy.mockRestore()
      await end(each)
      return looks
    }
    const [few, many] = [await costOf(50), await costOf(200)]
    expect(many).toBeLessThan(8 * few)
  })

  it('a port that was forwarded by hand is verified at the address that parties see', async () => {
    const each = setUp(undefined, (trace, clock) => [
      scripted('manual', trace, clock, { gateway: null, isClaim: true, externalAddress: '0.0.0.0', grant: () => 9000 })
        .strategy
    ])
    each.traversal.addEndpoint(web)
    await begin(each)
    expect(each.traversal.report()).toMatchObject({ verdict: 'unknown', cause: 'unverified', externalAddresses: [] })
    sayBoth(each)
    await each.clock.advance(1000)
    expect(each.traversal.report().verdict).toBe('public')
    expect(each.told()).toContain('verified manual 11.0.0.2:9000')
    await end(each)
  })

  it('an address is withdrawn, and told as lost, once parties see another one', async () => {
    const each = setUp()
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(1000)
    each.say(said(alpha, '/ip4/11.0.0.9/tcp/1'))
    await each.clock.advance(1000)
    expect(states(each)).toEqual([])
    each.say(said(bravo, '/ip4/11.0.0.9/tcp/1'))
    await each.clock.advance(1000)
    expect(states(each)).toEqual(['observed /ip4/11.0.0.9/tcp/8080 verified'])
    expect(each.told().slice(1)).toEqual([
      'verified identify 11.0.0.2:8080',
      'lost identify 11.0.0.2:8080',
      'verified identify 11.0.0.9:8080'
    ])
    await end(each)
  })

  it('an address of an endpoint that was removed is told as lost, with this as the reason', async () => {
    const each = setUp()
    const removal = new AbortController()
    each.traversal.addEndpoint(web, { signal: removal.signal })
    await begin(each)
    sayBoth(each)
    await each.clock.advance(1000)
    removal.abort()
    await each.clock.advance(1000)
    expect(states(each)).toEqual([])
    expect(each.events.at(-1)).toMatchObject({ event: 'lost', reasons: [{ message: 'the endpoint was removed' }] })
    await end(each)
  })

  it('a mapping of the same address takes the place of an observed one, and keeps what witnesses said', async () => {
    const each = setUp(undefined, (trace, clock) => [scripted('pcp', trace, clock, { foundAfterMs: 20_000 }).strategy])
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(2000)
    expect(states(each)).toEqual([`observed ${own} verified`])
    await each.clock.advance(30_000)
    expect(states(each)).toEqual([`mapped ${own} verified`])
    expect(each.told()).not.toContain('lost identify 11.0.0.2:8080')
    await end(each)
  })

  it('what parties said in one network is forgotten in the next one', async () => {
    const each = setUp()
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(2000)
    each.traversal.setNetwork(away)
    await each.clock.advance(20_000)
    expect(states(each)).toEqual([])
    expect(each.told()).toContain('lost identify 11.0.0.2:8080')
    each.say(said(alpha, seen))
    await each.clock.advance(1000)
    expect(states(each)).toEqual([])
    await end(each)
  })

  it('a change of the IPv6 network leaves a verified IPv4 address as it is', async () => {
    const each = setUp()
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(2000)
    each.traversal.setNetwork({ ...home, addresses: [...home.addresses, '2a00:1::2'] })
    await each.clock.advance(60_000)
    expect(states(each)).toEqual([`observed ${own} verified`])
    expect(each.told().slice(1)).toEqual(['verified identify 11.0.0.2:8080'])
    await end(each)
  })

  it('an address is lost as soon as the network changes, also while the next search is still to come', async () => {
    const each = setUp(undefined, undefined, { policy: { debounceMs: 60_000 } })
    each.traversal.addEndpoint(web)
    await begin(each)
    sayBoth(each)
    await each.clock.advance(2000)
    expect(states(each)).toEqual([`observed ${own} verified`])
    const { length } = each.asked
    each.traversal.setNetwork(away)
    await each.clock.advance(100)
    expect([states(each), each.traversal.report().externalAddresses]).toEqual([[], []])
    expect(each.told().slice(-1)).toEqual(['lost identify 11.0.0.2:8080'])
    await each.clock.advance(600_000)
    expect(each.asked).toHaveLength(length)
    await end(each)
  })
})
