import type { CandidateReport, Cause, Report, StrategyReport } from '@postern/core'
import { pictureOf } from '@postern/status'
import fc from 'fast-check'
import stringWidth from 'string-width'
import { describe, expect, it } from 'vitest'
import { drawPicture } from '../../../../src/commands/doctor/picture/draw-picture.js'
import { colorsFor } from '../../../../src/shared/terminal.js'
import { reportWith } from '../../../support/report.js'

const plain = colorsFor({})
const draw = (report: Report, columns: number | undefined = 80, isUnicode = true): string =>
  drawPicture(pictureOf(report), { columns, isUnicode, colors: plain })
const lines = (...each: readonly string[]): string => each.join('\n')

const endpoint = { protocol: 'tcp', address: '192.168.1.2', port: 8080 } as const
const mapped: CandidateReport = {
  address: '/ip4/11.0.0.2/tcp/8080',
  type: 'mapped',
  strategy: 'pcp',
  endpoint,
  state: 'consistent',
  expiresAt: null,
  evidence: []
}
const relayed: CandidateReport = {
  ...mapped,
  address: '/ip4/41.0.0.1/tcp/4001/p2p-circuit',
  type: 'relayed',
  strategy: 'relay',
  endpoint: null,
  relay: { party: '12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust', network: '41.0.0.0/16' }
}
const evidence = (party: string, outcome: 'reachable' | 'unreachable') => ({ party, network: '', outcome, at: '' })
const active = { name: 'pcp', kind: 'mapper', rank: 0, state: 'active', tookMs: 9, reason: null } as const
const outer: StrategyReport = { ...active, gateway: '192.168.0.1', through: '192.168.1.1' }

const home = reportWith({
  verdict: 'public',
  cause: 'unverified',
  externalAddresses: [mapped.address],
  strategies: [active],
  candidates: [mapped]
})
const twoRouters: Report = {
  ...home,
  strategies: [active, outer],
  candidates: [
    { ...mapped, address: '/ip4/192.168.0.2/tcp/8080' },
    { ...mapped, through: '/ip4/192.168.0.2/tcp/8080' }
  ]
}
const threeRouters: Report = {
  ...twoRouters,
  verdict: 'private',
  cause: 'double-nat',
  externalAddresses: ['/ip4/10.0.0.2/tcp/8080'],
  candidates: twoRouters.candidates.map((each) =>
    each.through === undefined ? each : { ...each, address: '/ip4/10.0.0.2/tcp/8080' }
  )
}
const aRelay: Report = {
  ...home,
  verdict: 'relayed',
  cause: 'mapping-not-honoured',
  externalAddresses: [relayed.address],
  candidates: [
    { ...mapped, evidence: [evidence('21.0.0.1:4003', 'unreachable'), evidence('31.0.0.1:4003', 'unreachable')] },
    relayed
  ]
}

describe('drawPicture', () => {
  it('draws the places in a row, and a question mark on the way that no host has tried', () => {
    expect(draw(home)).toBe(
      lines(
        '╭──────────────────────╮       ╭───────────────────╮       ╭───────────────────╮',
        '│ This machine         │       │ Router            │       │ Internet          │',
        '│ 192.168.1.2:8080 tcp ├───────┤ 192.168.1.1       ├───?───┤ 11.0.0.2:8080 tcp │',
        '│ eth0                 │       │ maps with pcp     │       │                   │',
        '│                      │       │ outside: 11.0.0.2 │       │                   │',
        '╰──────────────────────╯       ╰───────────────────╯       ╰───────────────────╯'
      )
    )
  })

  it('draws hosts that have reached this machine below the internet', () => {
    const parties = [evidence('http://21.0.0.1:4003', 'reachable'), evidence('http://31.0.0.1:4003', 'reachable')]
    const drawn = draw({ ...home, cause: null, candidates: [{ ...mapped, state: 'verified', evidence: parties }] })
    expect(drawn.split('\n').slice(5)).toEqual([
      '╰──────────────────────╯       ╰───────────────────╯       ╰─────────┬─────────╯',
      '                                                                     │',
      '       Witness 21.0.0.1:4003, reached this machine ──────────────────┤',
      '       Witness 31.0.0.1:4003, reached this machine ──────────────────╯'
    ])
  })

  it('marks the broken place with a frame and a sign of its own, and says why', () => {
    expect(draw(reportWith())).toBe(
      lines(
        '╭──────────────╮       ╔═════════════╗       ╭──────────╮',
        '│ This machine ├───────╢ ✘ Router    ╟╌╌╌╌╌╌╌┤ Internet │',
        '│ eth0         │       ║ 192.168.1.1 ║       │          │',
        '╰──────────────╯       ╚═════════════╝       ╰──────────╯',
        '',
        '✘ Stops at: Router. The router answers no protocol with which a port can be',
        '  mapped.'
      )
    )
  })

  it('is legible in ASCII', () => {
    expect(draw(reportWith({ cause: 'carrier-nat' }), undefined, false)).toBe(
      lines(
        '+--------------+     +-------------+     ######################     +----------+',
        '| This machine +-----+ Router      +-----# X Provider         #.....+ Internet |',
        '| eth0         |     | 192.168.1.1 |     # shares one address #     |          |',
        '+--------------+     +-------------+     ######################     +----------+',
        '',
        'X Stops at: Provider. The provider shares one address among several customers',
        '  (carrier-grade NAT).'
      )
    )
  })

  it('without a route, marks the way and not a place', () => {
    const [top, middle] = draw(reportWith({ cause: 'no-route', gateway: null })).split('\n')
    expect(top).toBe('╭──────────────╮       ╭╌╌╌╌╌╌╌╌╌╌╌╮       ╭──────────╮')
    expect(middle).toBe('│ This machine ├───✘───┤ No router ├╌╌╌╌╌╌╌┤ Internet │')
  })

  it('draws the way around through a relay', () => {
    expect(draw(aRelay)).toBe(
      lines(
        '╭──────────────────────╮       ╔═══════════════════╗       ╭──────────╮',
        '│ This machine         │       ║ ✘ Router          ║       │ Internet │',
        '│ 192.168.1.2:8080 tcp ├───────╢ 192.168.1.1       ╟╌╌╌╌╌╌╌┤          │',
        '│ eth0                 │       ║ maps with pcp     ║       │          │',
        '│                      │       ║ outside: 11.0.0.2 ║       │          │',
        '╰──┬───────────────────╯       ╚═══════════════════╝       ╰─────┬────╯',
        '   │                                                             │',
        '   ╰◄─ Relay 12D3KooWQY…HhKust, relay ───────────────────────────┤',
        '       Witness 21.0.0.1:4003, could not reach it ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┤',
        '       Witness 31.0.0.1:4003, could not reach it ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╯',
        '',
        '✘ Stops at: Router. The router says that it has mapped the port, and no',
        '  connection gets through.',
        '◄ Connections come in through: Relay 12D3KooWQY…HhKust, relay.'
      )
    )
  })

  it('in a narrow terminal, draws the places from top to bottom, and the way around beside them', () => {
    expect(draw(aRelay, 40)).toBe(
      lines(
        '● This machine ◄─────────────────╮',
        '│   192.168.1.2:8080 tcp, eth0   │',
        '│                                │',
        '✘ Router                         │',
        '╎   192.168.1.1, maps with pcp,  │',
        '╎   outside: 11.0.0.2            │',
        '╎                                │',
        '● Internet                       │',
        '├─ Relay ────────────────────────╯',
        '╎     12D3KooWQY…HhKust, relay',
        '├╌ Witness',
        '╎     21.0.0.1:4003, could not reach it',
        '╰╌ Witness',
        '      31.0.0.1:4003, could not reach it',
        '',
        '✘ Stops at: Router. The router says that',
        '  it has mapped the port, and no',
        '  connection gets through.',
        '◄ Connections come in through: Relay',
        '  12D3KooWQY…HhKust, relay.'
      )
    )
  })

  it('draws two routers in a row', () => {
    const drawn = draw(twoRouters)
    expect(drawn).toMatch(/│ Router +│ +│ Outer router +│ +│ Internet +│/)
    expect(Math.max(...drawn.split('\n').map((each) => stringWidth(each)))).toBe(80)
  })

  it('draws a chain of three routers from top to bottom', () => {
    const titles = draw(threeRouters, 80, false)
      .split('\n')
      .filter((each) => /^[oX?.] /.test(each))
    expect(titles.slice(0, 5)).toEqual([
      'o This machine',
      'o Router',
      'o Outer router',
      'X Another router',
      'o Internet'
    ])
  })

  it('in less than 40 columns, lists the places', () => {
    expect(draw(reportWith(), 24, false)).toBe(
      lines(
        'o This machine: eth0',
        'X Router: 192.168.1.1',
        'o Internet',
        '',
        'X Stops at: Router. The',
        '  router answers no',
        '  protocol with which a',
        '  port can be mapped.'
      )
    )
  })

  it('a long maker and model are wrapped, and a word that is too long is cut', () => {
    const gateway = { address: '192.168.1.1', interface: 'eth0', description: '' }
    const long = { ...gateway, description: 'AVM Computersysteme Vertriebs GmbH FRITZ!Box 7590 AX' }
    expect(draw(reportWith({ gateway: long }))).toContain('║ GmbH FRITZ!Box 7590 AX         ║')
    const endless = draw(reportWith({ gateway: { ...gateway, description: 'x'.repeat(300) } }))
    expect(endless).toMatch(/^. {3}x+…$/m)
  })

  it('characters of other scripts keep the frames straight, and become question marks in ASCII', () => {
    const gateway = { address: '192.168.1.1', interface: 'eth0', description: '路由器 Größe' }
    const drawn = draw(reportWith({ gateway })).split('\n')
    expect(drawn.find((each) => each.includes('路由器'))).toMatch(/║ 路由器 Größe ║/)
    expect(new Set(drawn.slice(0, 5).map((each) => stringWidth(each))).size).toBe(1)
    expect(draw(reportWith({ gateway }), 80, false)).toContain('# ??? Gro?e ')
  })
})

const causes: readonly (Cause | null)[] = [
  null,
  'no-route',
  'no-mapping-service',
  'gateway-refused',
  'double-nat',
  'carrier-nat',
  'reserved-external-address',
  'mapping-not-honoured',
  'blocked',
  'unverified',
  'vpn-default-route',
  'container-bridge',
  'loopback-only'
]
/** Text as a router could send it: control characters, wide ones, and very long words. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.constantFrom('x'.repeat(500), '\u001b[2J\r\n', '路由器'.repeat(40), '👩‍👩‍👧 e\u0301')
)
const anyAddress = fc.oneof(
  fc.constantFrom(
    mapped.address,
    '/ip6/2001:db8:1111:2222:3333:4444:5555:6666/udp/65535/quic-v1',
    '/ip4/10.0.0.2/tcp/1'
  ),
  anyText
)
const anyReport: fc.Arbitrary<Report> = fc
  .record({
    verdict: fc.constantFrom('public', 'relayed', 'private', 'unknown' as const),
    cause: fc.constantFrom(...causes),
    gateway: fc.option(fc.record({ address: anyText, interface: anyText, description: fc.option(anyText) })),
    externalAddresses: fc.array(anyAddress, { maxLength: 5 }),
    strategies: fc.array(
      fc.record({
        name: anyText,
        kind: fc.constantFrom('mapper', 'observer' as const),
        rank: fc.nat(),
        state: fc.constantFrom('active', 'failed', 'unavailable' as const),
        tookMs: fc.constant(null),
        reason: fc.option(fc.record({ code: anyText, message: anyText })),
        gateway: anyText,
        through: anyText
      }),
      { maxLength: 5 }
    ),
    candidates: fc.array(
      fc.record({
        address: anyAddress,
        type: fc.constantFrom('mapped', 'relayed', 'manual' as const),
        strategy: fc.option(anyText),
        endpoint: fc.option(
          fc.record({ protocol: fc.constantFrom('tcp', 'udp' as const), address: anyText, port: fc.nat() })
        ),
        state: fc.constant('claimed' as const),
        expiresAt: fc.constant(null),
        evidence: fc.array(
          fc.record({
            party: anyText,
            network: anyText,
            outcome: fc.constantFrom('reachable', 'unreachable', 'inconclusive' as const),
            at: fc.constant('')
          }),
          { maxLength: 9 }
        ),
        relay: fc.record({ party: anyText, network: anyText })
      }),
      { maxLength: 5 }
    )
  })
  .map((changes) => reportWith(changes))

it('of any report, no line is wider than the terminal, and none contains a control character', () => {
  const terminal = fc.oneof(fc.integer({ min: 8, max: 130 }), fc.constantFrom(39, 40, 41, 79, 80, undefined))
  fc.assert(
    fc.property(anyReport, terminal, fc.boolean(), (report, columns, isUnicode) => {
      const drawn = draw(report, columns, isUnicode)
      for (const each of drawn.split('\n')) {
        expect(stringWidth(each)).toBeLessThanOrEqual(Math.min(columns ?? 80, 80))
        expect(each).not.toMatch(isUnicode ? /[\p{Cc}\p{Cf}]/u : /[^ -~]/)
      }
    }),
    { numRuns: 2000 }
  )
})
