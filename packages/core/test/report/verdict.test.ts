import { type Gateway, type Mapper, type Network, natError } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import type { StrategyEntry } from '../../src/discovery/discoveries.js'
import { createStrategyStatus } from '../../src/discovery/strategy-status.js'
import type { CandidateReport } from '../../src/index.js'
import { type CandidateFact, type Facts } from '../../src/report/facts.js'
import { judge } from '../../src/report/verdict.js'
import { home, router, web } from '../support.js'

const entry = (changes: Partial<StrategyEntry> = {}): StrategyEntry => ({
  name: 'pcp',
  rank: 0,
  kind: 'mapper',
  named: undefined,
  count: undefined,
  abilities: new Map(),
  absence: undefined,
  unheard: undefined,
  described: new Map(),
  settled: true,
  tookMs: 1,
  status: createStrategyStatus(),
  ...changes
})
const refused = createStrategyStatus()
refused.failed(natError('NOT_AUTHORIZED', 'no'))
const asked = createStrategyStatus()
asked.requestSent()
const failing = (code: Parameters<typeof natError>[0]): StrategyEntry => entry({ absence: natError(code, 'x') })
const mapperOn = (gateway: Gateway): Mapper => ({
  kind: 'mapper',
  gateway,
  family: 4,
  protocols: ['tcp'],
  map: () => Promise.reject(new Error('not asked'))
})
const candidate = (changes: Partial<CandidateReport & CandidateFact> = {}): CandidateReport & CandidateFact => ({
  address: '/ip4/11.0.0.2/tcp/8080',
  type: 'mapped',
  strategy: 'pcp',
  endpoint: null,
  state: 'consistent',
  expiresAt: null,
  evidence: [],
  ...changes
})
const facts = (changes: Partial<Facts> = {}): Facts => ({
  network: home,
  wants: [{ endpoint: web, externalPort: undefined, lifetimeMs: 1, suffix: '' }],
  entries: [failing('NO_REPLY')],
  candidates: [],
  relays: 0,
  relayLimits: undefined,
  nat: { nat: null, dispute: undefined, isSilent: false },
  claimChecks: [],
  firstPassOver: true,
  hasWitnessStrategy: false,
  witnessNetworks: 0,
  quorum: 2,
  partiesOverdue: false,
  ...changes
})
const via = (gateway: Gateway): Network => ({ gateways: [gateway], addresses: [gateway.localAddress] })

const listensOn = (family: 4 | 6, address: string): Facts['wants'] => [
  { endpoint: { ...web, family, address }, externalPort: undefined, lifetimeMs: 1, suffix: '' }
]

describe('the advice', () => {
  it.each([
    [true, 'then run this again: it is checked.'],
    [false, 'and name it with manual.']
  ])('the advice to forward names both ports and the router (witnesses: %s)', (hasWitnessStrategy, ending) => {
    expect(judge(facts({ hasWitnessStrategy, partiesOverdue: true })).advice[0]).toBe(
      `Turn on UPnP, NAT-PMP or PCP in the router, or forward TCP port 8080 to 192.168.1.2, port 8080, by hand in the settings of 192.168.1.1, ${ending}`
    )
  })

  it('the advice to forward leaves IPv6 out if this machine has no IPv6 address', () => {
    const wants = [...listensOn(4, '0.0.0.0'), ...listensOn(6, '::')]
    expect(judge(facts({ wants, hasWitnessStrategy: true, partiesOverdue: true })).advice[0]).toContain(
      'or forward TCP port 8080 to 192.168.1.2, port 8080, by hand'
    )
  })

  it('the advice names the addresses that witnesses could not reach', () => {
    const tried = candidate({ type: 'observed', state: 'refuted' })
    const { verdict, cause, advice } = judge(
      facts({ candidates: [tried], hasWitnessStrategy: true, witnessNetworks: 2 })
    )
    expect([verdict, cause]).toEqual(['private', 'no-mapping-service'])
    expect(advice).toContain('Witnesses see this machine at 11.0.0.2 TCP port 8080, and could not reach it there.')
  })

  it.each([
    [1, 'private'],
    [2, 'unknown']
  ] as const)(
    '%s networks of witnesses that have tried nothing leave the verdict at %s',
    (witnessNetworks, verdict) => {
      const each = facts({ hasWitnessStrategy: true, witnessNetworks, partiesOverdue: true })
      expect(judge(each)).toMatchObject({ verdict, cause: 'no-mapping-service' })
    }
  )

  it('a missing relay or witness is no fault of the router', () => {
    const witness = entry({ name: 'autonat', kind: 'witness', absence: natError('NO_SERVICE', 'no peer') })
    expect(judge(facts({ entries: [failing('REFUSED'), witness] })).advice[0]).toMatch(/^Turn on UPnP/)
  })

  it.each([
    [
      'IPv6 only, and the machine has no public IPv6 address',
      listensOn(6, '::'),
      ['192.168.1.2', 'fd00::2'],
      /IPv4 too/
    ],
    ['IPv4 only, and the machine has no IPv4 address', listensOn(4, '0.0.0.0'), ['2a00:1::2'], /IPv6 too/],
    ['IPv6 only, and the machine has a public address', listensOn(6, '::'), ['192.168.1.2', '2a00:1::2'], /^Turn on/],
    ['IPv4', listensOn(4, '0.0.0.0'), ['192.168.1.2'], /^Turn on/]
  ])('judge advises a server that listens on %s', (_, wants, addresses, expected) => {
    const { advice } = judge(facts({ wants, network: { ...home, addresses } }))
    expect(advice).toEqual([expect.stringMatching(expected)])
  })

  it.each([
    ['without strategies', []],
    ['with observers alone', [entry({ name: 'stun', kind: 'observer' })]]
  ])('judge advises to name a strategy that maps %s', (_, entries) => {
    expect(judge(facts({ entries })).advice).toEqual([expect.stringMatching(/^Name a strategy/)])
  })
})

describe('the verdict', () => {
  it.each([
    [
      'public for a verified address',
      { candidates: [candidate({ state: 'verified' })], hasWitnessStrategy: true },
      'public',
      null
    ],
    [
      'public but unverified for a consistent address without witnesses to ask',
      { candidates: [candidate()] },
      'public',
      'unverified'
    ],
    [
      'unknown: only the user says that it leads here',
      { candidates: [candidate({ type: 'manual', state: 'claimed', isClaim: true })] },
      'unknown',
      'unverified'
    ],
    [
      'private: the user says that it leads here, and the router is behind a carrier',
      {
        candidates: [candidate({ type: 'manual', state: 'claimed', isClaim: true })],
        entries: [failing('CARRIER_NAT')]
      },
      'private',
      'carrier-nat'
    ],
    [
      'relayed: only the user says that it leads here, and a relay carries',
      { candidates: [candidate({ type: 'manual', state: 'claimed', isClaim: true })], relays: 1 },
      'relayed',
      'unverified'
    ],
    [
      'unknown: consistent, and witnesses still to come',
      { candidates: [candidate()], hasWitnessStrategy: true },
      'unknown',
      null
    ],
    [
      'public but unverified: too few witnesses after 10 s',
      { candidates: [candidate()], hasWitnessStrategy: true, partiesOverdue: true, witnessNetworks: 1 },
      'public',
      'unverified'
    ],
    [
      'unknown: enough witnesses, undecided',
      { candidates: [candidate()], hasWitnessStrategy: true, partiesOverdue: true, witnessNetworks: 2 },
      'unknown',
      null
    ],
    [
      'unknown: a strategy that has not failed, and has mapped nothing so far',
      { entries: [entry({ abilities: new Map([['m', mapperOn(router)]]) })] },
      'unknown',
      null
    ],
    ['relayed: nothing direct, a relay', { relays: 1 }, 'relayed', 'no-mapping-service'],
    ['unknown: the first pass is not over', { firstPassOver: false }, 'unknown', null],
    ['private: nothing', {}, 'private', 'no-mapping-service'],
    ['unknown: no strategies', { entries: [] }, 'unknown', null],
    [
      'public but unverified: no strategies, but an address of its own',
      { entries: [], candidates: [candidate({ type: 'local' })] },
      'public',
      'unverified'
    ],
    [
      'private: no strategies, and no route either',
      { entries: [], network: { gateways: [], addresses: [] } },
      'private',
      'no-route'
    ]
  ] as const)('judge concludes %s', (_, changes, verdict, cause) => {
    expect(judge(facts(changes))).toMatchObject({ verdict, cause })
  })
})

describe('the cause', () => {
  const refuted = candidate({ state: 'refuted' })
  it.each([
    ['carrier-nat', { entries: [failing('NETWORK_FAILURE'), failing('CARRIER_NAT')] }],
    ['double-nat', { entries: [failing('EXTERNAL_ADDRESS_RESERVED'), failing('DOUBLE_NAT')] }],
    ['double-nat', { entries: [failing('ADDRESS_MISMATCH')] }],
    ['reserved-external-address', { entries: [failing('NETWORK_FAILURE')] }],
    ['carrier-nat', { candidates: [candidate({ address: '/ip4/100.64.0.2/tcp/1', state: 'claimed' })] }],
    ['double-nat', { candidates: [candidate({ address: '/ip4/10.0.0.2/tcp/1', state: 'claimed' })] }],
    ['reserved-external-address', { candidates: [candidate({ address: '/ip4/198.18.0.2/tcp/1', state: 'claimed' })] }],
    [
      'reserved-external-address',
      { candidates: [candidate({ type: 'manual', address: '/ip4/203.0.113.7/tcp/1', state: 'claimed' })] }
    ],
    ['mapping-not-honoured', { candidates: [refuted] }],
    ['blocked', { candidates: [{ ...refuted, type: 'manual' }] }],
    ['no-route', { network: { gateways: [], addresses: [] } }],
    ['vpn-default-route', { network: via({ address: '0.0.0.0', interface: 'tun0', localAddress: '10.8.0.2' }) }],
    ['vpn-default-route', { network: via({ address: '10.8.0.1', interface: 'wg0', localAddress: '10.8.0.2' }) }],
    ['container-bridge', { network: via({ address: '172.17.0.1', interface: 'eth0', localAddress: '172.17.0.2' }) }],
    [
      'loopback-only',
      { wants: [{ endpoint: { ...web, address: '127.0.0.1' }, externalPort: undefined, lifetimeMs: 1, suffix: '' }] }
    ],
    ['gateway-refused', { entries: [entry({ abilities: new Map([['m', mapperOn(router)]]), status: refused })] }],
    ['no-mapping-service', {}]
  ] as const)('%s', (cause, changes) => {
    const { verdict, advice, ...rest } = judge(facts(changes))
    expect(rest.cause).toBe(cause)
    expect(verdict).toBe('private')
    expect(advice[0]).toMatch(/^[A-Z].+[^.]\.$/)
  })

  it('judge names no cause of a failure for a reachable host', () => {
    const entries = [failing('CARRIER_NAT')]
    expect(judge(facts({ entries, candidates: [candidate({ type: 'local' })] }))).toMatchObject({
      verdict: 'public',
      cause: 'unverified',
      advice: [expect.stringMatching(/^Name a witness/)]
    })
  })

  it('judge advises to name a strategy if there is none', () => {
    const { advice } = judge(facts({ entries: [] }))
    expect(advice).toEqual([expect.stringMatching(/^Name a strategy/)])
  })

  it.each([
    ['NO_REPLY', 'Turn on UPnP'],
    ['REFUSED', 'Turn on UPnP'],
    ['NOT_AUTHORIZED', 'Allow this machine to use pcp'],
    ['MALFORMED_REPLY', "Update the router's firmware"],
    ['GATEWAY_FAULT', "Update the router's firmware"],
    ['NO_SERVICE', "Look in the router's settings"],
    ['UNTRUSTED_REPLY', 'Look at what pcp says above'],
    ['ADDRESS_NOT_ROUTABLE', "Give pcp the router's public address"],
    ['EXTERNAL_ADDRESS_UNKNOWN', "Give pcp the router's public address"]
  ] as const)('judge advises what to do about %s', (code, start) => {
    const { cause, advice } = judge(facts({ entries: [failing(code)] }))
    expect({ cause, starts: advice[0]?.startsWith(start) }).toEqual({ cause: 'no-mapping-service', starts: true })
  })

  it.each([
    ['203.0.113.7', 'documentation'],
    ['192.168.1.5', 'private'],
    ['0.0.0.0', 'unspecified']
  ])('judge names the address of a strategy that asks no router: %s', (address, kind) => {
    const told = candidate({
      type: 'manual',
      strategy: 'firewall',
      address: `/ip4/${address}/tcp/1`,
      state: 'claimed'
    })
    const entries = [entry({ name: 'firewall', abilities: new Map([['m', mapperOn(router)]]) })]
    expect(judge(facts({ entries, candidates: [told] }))).toEqual({
      verdict: 'private',
      cause: 'reserved-external-address',
      advice: [
        `Give firewall the public address of this host: the address that it tells, ${address}, is ${kind}, and the internet cannot reach it.`
      ]
    })
  })

  it('judge names the forward that witnesses did not find, before any firewall', () => {
    const forward = candidate({ type: 'manual', state: 'refuted', isClaim: true })
    const { cause, advice } = judge(facts({ candidates: [forward] }))
    expect(cause).toBe('blocked')
    expect(advice[0]).toMatch(/^Check in the router's settings that port 8080 of 11\.0\.0\.2 is forwarded/)
  })

  it('judge names the second router, and how to use it', () => {
    const other = { ...router, address: '192.168.1.254' }
    const entries = [entry({ abilities: new Map([['m', mapperOn(other)]]) })]
    const { advice } = judge(facts({ entries }))
    expect(advice.join(' ')).toContain('--via pcp:192.168.1.254')
  })

  it.each<readonly [string, Partial<Facts>, RegExp]>([
    ['nothing listens', { wants: [], firstPassOver: false }, /No port of this program listens/],
    [
      'strategies have not answered',
      { firstPassOver: false, entries: [entry({ settled: false })] },
      /still asking \(pcp\)/
    ],
    [
      'a relay is looked for',
      {
        entries: [
          entry({ abilities: new Map([['m', mapperOn(router)]]) }),
          entry({ kind: 'relay', abilities: new Map([['r', mapperOn(router)]]) })
        ]
      },
      /no relay/
    ],
    [
      'no witness is connected',
      { candidates: [candidate()], hasWitnessStrategy: true },
      /No witness is connected yet: .*8080 .*A witness is/
    ],
    [
      'one witness of two is connected',
      { candidates: [candidate()], hasWitnessStrategy: true, witnessNetworks: 1 },
      /on 1 of 2 networks/
    ],
    [
      'witnesses dial',
      { candidates: [candidate()], hasWitnessStrategy: true, witnessNetworks: 2 },
      /Wait: witnesses are dialling/
    ],
    [
      'a router is asked',
      { entries: [entry({ status: asked, abilities: new Map([['m', mapperOn(router)]]) })] },
      /has not answered/
    ],
    ['there is no strategy', { entries: [] }, /Name a strategy/]
  ])('judge concludes unknown without a cause, and one sentence says what is missing: %s', (_, changes, sentence) => {
    const { verdict, cause, advice } = judge(facts(changes))
    expect({ verdict, cause }).toEqual({ verdict: 'unknown', cause: null })
    expect(advice).toEqual([expect.stringMatching(sentence)])
  })

  it('judge concludes loopback-only, whatever is still being looked for', () => {
    const wants = [{ endpoint: { ...web, address: '127.0.0.1' }, externalPort: undefined, lifetimeMs: 1, suffix: '' }]
    const entries = [entry({ kind: 'relay', settled: false })]
    expect(judge(facts({ wants, entries }))).toMatchObject({ verdict: 'private', cause: 'loopback-only' })
  })

  it('judge waits for a forwarder, which reaches a loopback address', () => {
    const wants = [{ endpoint: { ...web, address: '127.0.0.1' }, externalPort: undefined, lifetimeMs: 1, suffix: '' }]
    const entries = [entry({ kind: 'forwarder', settled: false })]
    expect(judge(facts({ wants, entries }))).toMatchObject({ verdict: 'unknown' })
    expect(judge(facts({ wants, entries, partiesOverdue: true }))).toMatchObject({ verdict: 'private' })
  })

  it('judge suggests no relay to a host that has one', () => {
    const { verdict, advice } = judge(facts({ relays: 1, entries: [failing('CARRIER_NAT')] }))
    expect(verdict).toBe('relayed')
    expect(advice[0]).toMatch(/^Ask the provider/)
    expect(advice[0]).not.toContain('relay')
  })

  it('judge mentions a second router that is not used', () => {
    const other = { ...router, address: '192.168.1.254' }
    const entries = [entry({ abilities: new Map([['m', mapperOn(other)]]) })]
    const { advice } = judge(facts({ entries, network: { ...home, gateways: [router, other] } }))
    expect(advice.join(' ')).toContain('Another router')
  })
})
