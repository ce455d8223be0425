import type { Cause, Report } from '@postern/core'
import { describe, expect, it } from 'vitest'
import { layOut } from '../../src/model/layout.js'
import { pictureOf } from '../../src/model/picture.js'
import { situations } from '../support/situations.mjs'
import { emptyReport } from '../support/source.js'

const gateway = { address: '192.168.1.1', interface: 'eth0', description: null }
const withCause = (cause: Cause | null, more: Partial<Report> = {}): Report => ({
  ...emptyReport,
  verdict: 'private',
  cause,
  gateway,
  ...more
})
const names = (report: Report): readonly string[] => pictureOf(report).chain.map(({ name }) => name)

describe('pictureOf', () => {
  it.each([
    ['loopback-only', ['This machine', 'Router', 'Internet'], 'Stops at: This machine'],
    ['container-bridge', ['This machine', 'Container bridge', 'Internet'], 'Stops at: Container bridge'],
    ['vpn-default-route', ['This machine', 'VPN', 'Internet'], 'Stops at: VPN'],
    ['no-mapping-service', ['This machine', 'Router', 'Internet'], 'Stops at: Router'],
    ['gateway-refused', ['This machine', 'Router', 'Internet'], 'Stops at: Router'],
    ['double-nat', ['This machine', 'Router', 'Another router', 'Internet'], 'Stops at: Another router'],
    ['carrier-nat', ['This machine', 'Router', 'Provider', 'Internet'], 'Stops at: Provider'],
    [
      'reserved-external-address',
      ['This machine', 'Router', 'Router or provider', 'Internet'],
      'Stops at: Router or provider'
    ],
    ['mapping-not-honoured', ['This machine', 'Router', 'Internet'], 'Stops at: Router'],
    ['blocked', ['This machine', 'Router', 'Internet'], 'Stops before: Internet']
  ] as const)('the cause %s is drawn where it is', (cause, chain, where) => {
    const picture = pictureOf(withCause(cause))
    expect(picture.chain.map(({ name }) => name)).toEqual(chain)
    expect(picture.broken?.where).toBe(where)
    expect(picture.summary).toContain(where)
    const marks = [...picture.chain, ...picture.ways].filter(({ mark }) => mark === 'broken')
    expect(marks).toHaveLength(1)
  })

  it('connections that the firewall of this machine drops stop there, and the router is not to blame', () => {
    const hostFirewall = { tool: 'nftables', state: 'blocks', reason: null, command: null } as const
    const neighbourhood = {
      router: null,
      mappings: null,
      udp: 'unknown',
      ipv6: { outbound: 'unknown', inbound: 'unknown' },
      translation: null,
      captivePortal: null,
      hostFirewall
    } as const
    const { chain, ways, broken } = pictureOf(withCause('blocked', { neighbourhood }))
    expect(broken?.where).toBe('Stops at: This machine')
    expect(broken?.text).toContain('firewall of this machine')
    expect([...chain, ...ways].map(({ mark }) => mark)).toEqual(['broken', 'ok', 'ok', 'ok', 'ok'])
  })

  it('the router is drawn with its make and model', () => {
    const device = { manufacturer: 'AVM Berlin', model: 'FRITZ!Box 7590', name: 'Attic' }
    const [, drawn] = pictureOf(withCause(null, { gateway: { ...gateway, device } })).chain
    expect(drawn).toMatchObject({ name: 'Router', details: ['AVM FRITZ!Box 7590', '192.168.1.1'] })
  })

  it('without a route, the way to the router is broken', () => {
    const picture = pictureOf(withCause('no-route', { gateway: null }))
    expect(picture.chain.map(({ name }) => name)).toEqual(['This machine', 'No router', 'Internet'])
    expect(picture.ways.map(({ mark }) => mark)).toEqual(['broken', 'idle'])
    expect(picture.broken?.where).toBe('Stops before: No router')
  })

  it('nothing is broken where the host can be reached, and only the last way is doubtful if no host has tried', () => {
    const { chain, ways, broken } = pictureOf(situations['two-routers'].report)
    expect(broken).toBeNull()
    expect(chain.map(({ name, mark }) => [name, mark])).toEqual([
      ['This machine', 'ok'],
      ['Router', 'ok'],
      ['Outer router', 'ok'],
      ['Internet', 'ok']
    ])
    expect(ways.map(({ mark }) => mark)).toEqual(['ok', 'ok', 'unknown'])
  })

  it('two routers each say what they map with, and what they have outside', () => {
    const { chain } = pictureOf(situations['two-routers'].report)
    expect(chain[1]?.details).toEqual(['192.168.1.1', 'maps with pcp', 'outside: 192.168.0.2'])
    expect(chain[2]?.details).toEqual(['192.168.0.1', 'maps with pcp', 'outside: 11.0.0.2'])
  })

  it('the two routers of a refused double NAT are not drawn a third time', () => {
    const strategies = situations['two-routers'].report.strategies.map((each) => ({
      ...each,
      state: 'failed' as const
    }))
    const report = withCause('double-nat', { strategies })
    expect(names(report)).toEqual(['This machine', 'Router', 'Outer router', 'Internet'])
    expect(pictureOf(report).broken?.where).toBe('Stops at: Outer router')
  })

  it('a router that maps from a private address stands behind another one, and that address is not on the internet', () => {
    const { report } = situations['two-routers']
    const candidates = report.candidates.map((each) =>
      each.through === undefined ? each : { ...each, address: '/ip4/10.0.0.2/tcp/8080' }
    )
    const externalAddresses = ['/ip4/192.168.0.2/tcp/8080', '/ip4/10.0.0.2/tcp/8080']
    const picture = pictureOf(withCause('double-nat', { strategies: report.strategies, candidates, externalAddresses }))
    expect(picture.chain.map(({ name }) => name)).toEqual([
      'This machine',
      'Router',
      'Outer router',
      'Another router',
      'Internet'
    ])
    expect(picture.broken?.where).toBe('Stops at: Another router')
    expect(picture.chain.at(-1)?.details).toEqual([])
  })

  it('of three routers in a row only the last one has the external address', () => {
    const { report } = situations['two-routers']
    const third = { ...report.strategies[3], gateway: '10.0.0.1', through: '192.168.0.1' }
    const { chain } = pictureOf({ ...report, strategies: [...report.strategies, third] as Report['strategies'] })
    expect(chain[2]?.details).toEqual(['192.168.0.1', 'maps with pcp'])
    expect(chain[3]?.details).toEqual(['10.0.0.1', 'maps with pcp', 'outside: 11.0.0.2'])
  })

  it('what happens while the first pass runs is not known', () => {
    const { chain, broken } = pictureOf({ ...emptyReport, gateway })
    expect(chain.map(({ mark }) => mark)).toEqual(['unknown', 'unknown', 'unknown'])
    expect(broken).toBeNull()
  })

  it('a relay is the way around, and witnesses say what they found', () => {
    const { outside, ways, detour, broken } = pictureOf(situations.relayed.report)
    expect(outside.map(({ kind, mark, details }) => [kind, mark, details[1]])).toEqual([
      ['relay', 'ok', 'relay'],
      ['witness', 'idle', 'could not reach it'],
      ['witness', 'idle', 'could not reach it']
    ])
    expect(ways.at(-1)).toEqual({ from: outside[0]?.id, to: 'machine', mark: 'ok' })
    expect(detour).toContain('Relay')
    expect(broken?.where).toBe('Stops at: Router')
  })

  it('a witness that reached one address counts, whatever it says of others', () => {
    const [first] = situations.verified.report.candidates
    const [evidence] = first?.evidence ?? []
    if (first === undefined || evidence === undefined) throw new Error('no candidate')
    const refuted = {
      ...first,
      address: '/ip4/11.0.0.2/tcp/9',
      evidence: [{ ...evidence, outcome: 'unreachable' as const }]
    }
    for (const candidates of [
      [first, refuted],
      [refuted, first]
    ]) {
      const { outside } = pictureOf({ ...situations.verified.report, candidates })
      expect(outside[0]?.mark).toBe('ok')
    }
  })

  it('of a hundred witnesses six places are drawn', () => {
    const [first] = situations.verified.report.candidates
    if (first === undefined) throw new Error('no candidate')
    const evidence = Array.from({ length: 100 }, (_, index) => ({
      party: `w${index}`,
      network: '',
      outcome: 'reachable' as const,
      at: ''
    }))
    const { outside } = pictureOf({ ...situations.verified.report, candidates: [{ ...first, evidence }] })
    expect(outside).toHaveLength(6)
    expect(outside.at(-1)).toMatchObject({ name: '95 more' })
  })
})

describe('layOut', () => {
  const shapes = Object.entries(situations).flatMap(([name, { report }]) =>
    [false, true].map((isNarrow) => [name, isNarrow, report] as const)
  )

  it.each(shapes)(
    'the picture of %s, narrow: %s, has no boxes over each other, and nothing outside',
    (_, isNarrow, report) => {
      const { width, height, boxes, lines } = layOut(pictureOf(report), isNarrow)
      if (isNarrow) expect(width).toBeLessThan(310)
      for (const [index, one] of boxes.entries()) {
        expect(one.x >= 0 && one.y >= 0 && one.x + one.width <= width && one.y + one.height <= height).toBe(true)
        for (const other of boxes.slice(index + 1)) {
          const isApart =
            one.x + one.width <= other.x ||
            other.x + other.width <= one.x ||
            one.y + one.height <= other.y ||
            other.y + other.height <= one.y
          expect(isApart).toBe(true)
        }
      }
      for (const [x, y] of lines.flatMap(({ points }) => points))
        expect(x >= 0 && x <= width && y >= 0 && y <= height).toBe(true)
      expect(lines).toHaveLength(pictureOf(report).ways.length)
    }
  )
})
