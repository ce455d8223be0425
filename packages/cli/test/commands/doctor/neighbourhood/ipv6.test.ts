import type { Report } from '@postern/core'
import type { Network } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { ipv6Advice, ipv6Lines, ipv6Of } from '../../../../src/commands/doctor/neighbourhood/ipv6.js'
import type { ServerProbe } from '../../../../src/commands/doctor/neighbourhood/named-servers.js'
import { reportWith } from '../../../support/report.js'

type Evidence = Report['candidates'][number]['evidence'][number]

const probe = (family: 4 | 6, udp: ServerProbe['udp'], changes: Partial<ServerProbe> = {}): ServerProbe => ({
  host: 'stun.example.org',
  family,
  isTranslated: false,
  network: family === 4 ? '21.0.0.0/16' : '2a21::/32',
  udp,
  tcp: udp === 'answered' ? 'untried' : 'failed',
  ...changes
})
const dual: Network = {
  gateways: [
    { address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' },
    { address: 'fe80::1%eth0', interface: 'eth0', localAddress: '2a00:1::2' }
  ],
  addresses: ['192.168.1.2', '2a00:1::2']
}
const evidence = (outcome: Evidence['outcome'], network = '2a21::/32'): Evidence => ({
  party: network,
  network,
  outcome,
  at: '2026-01-01T00:00:00.000Z'
})
const withCandidate = (changes: Partial<Report['candidates'][number]>): Report =>
  reportWith({
    candidates: [
      {
        address: '/ip6/2a00:1::2/tcp/4001',
        type: 'local',
        strategy: null,
        endpoint: { protocol: 'tcp', address: '::', port: 4001 },
        state: 'consistent',
        expiresAt: null,
        evidence: [],
        ...changes
      }
    ]
  })
const nothing = reportWith()

describe('IPv6 outwards', () => {
  const outbound = (probes: readonly ServerProbe[], report = nothing, network = dual, isComplete = true): string =>
    ipv6Of(probes, report, network, isComplete).outbound

  it('there is none without a global address, or without a route', () => {
    const [ipv4, ipv6] = dual.gateways
    if (ipv4 === undefined || ipv6 === undefined) throw new Error('two gateways')
    expect(outbound([], nothing, { ...dual, gateways: [ipv4] })).toBe('none')
    expect(outbound([], nothing, { ...dual, addresses: ['192.168.1.2', 'fd00::2', 'fe80::2'] })).toBe('none')
  })

  it.each<[string, ServerProbe[], Report, string]>([
    ['no party was named', [], nothing, 'unknown'],
    ['a server has IPv4 only', [probe(4, 'answered')], nothing, 'unknown'],
    ['a server answers over UDP', [probe(6, 'answered')], nothing, 'works'],
    ['a server answers through a NAT64', [probe(6, 'answered', { isTranslated: true })], nothing, 'unknown'],
    ['a server answers over TCP', [probe(6, 'silent', { tcp: 'answered' })], nothing, 'works'],
    ['a witness answers over IPv6', [], withCandidate({ evidence: [evidence('unreachable')] }), 'works'],
    ['a witness answers over IPv4', [], withCandidate({ evidence: [evidence('reachable', '21.0.0.0/16')] }), 'unknown'],
    ['a witness does not answer', [], withCandidate({ evidence: [evidence('inconclusive')] }), 'unknown'],
    ['one server is silent', [probe(6, 'silent')], nothing, 'unknown'],
    ['the same server answers over IPv4 only', [probe(6, 'silent'), probe(4, 'answered')], nothing, 'fails'],
    [
      'another server answers over IPv4',
      [probe(6, 'silent'), probe(4, 'answered', { host: 'other' })],
      nothing,
      'unknown'
    ],
    [
      'servers of two networks are silent',
      [probe(6, 'silent'), probe(6, 'failed', { network: '2a31::/32' })],
      nothing,
      'fails'
    ]
  ])('%s', (_, probes, report, expected) => expect(outbound(probes, report)).toBe(expected))

  it('silence counts only once every server was asked to the end', () => {
    expect(outbound([probe(6, 'silent'), probe(4, 'answered')], nothing, dual, false)).toBe('unknown')
  })
})

describe('IPv6 inwards', () => {
  const inbound = (changes: Parameters<typeof withCandidate>[0]): string =>
    ipv6Of([], withCandidate(changes), dual, true).inbound

  it.each<[string, Parameters<typeof withCandidate>[0], string]>([
    ['nothing was tried', {}, 'unknown'],
    ['one witness came through', { evidence: [evidence('reachable'), evidence('unreachable')] }, 'works'],
    ['witnesses agree', { state: 'verified' }, 'works'],
    ['one witness did not come through', { evidence: [evidence('unreachable')] }, 'unknown'],
    ['a quorum did not come through', { state: 'refuted', evidence: [evidence('unreachable')] }, 'blocked'],
    ['an IPv4 address was refuted', { state: 'refuted', address: '/ip4/11.0.0.2/tcp/4001' }, 'unknown'],
    ['a relay is reached', { state: 'verified', type: 'relayed' }, 'unknown'],
    ['a local address was refuted', { state: 'refuted', address: '/ip6/fd00::2/tcp/4001' }, 'unknown']
  ])('%s', (_, changes, expected) => expect(inbound(changes)).toBe(expected))
})

describe('what is said about IPv6', () => {
  it('what works, is absent or is not known gives no line', () => {
    for (const outbound of ['works', 'none', 'unknown'] as const) {
      expect(ipv6Lines({ outbound, inbound: 'works' })).toEqual([])
      expect(ipv6Advice({ outbound, inbound: 'unknown' }, nothing, dual)).toEqual([])
    }
  })

  it('blocked inwards names the firewall of the router, and what the strategies for pinholes say', () => {
    const line = { kind: 'mapper', rank: 0, state: 'unavailable', tookMs: 1 } as const
    const reason = { code: 'REFUSED', message: 'the port is closed' }
    const strategies = ['pcp', 'nat-pmp'].map((name) => ({ ...line, name, reason }))
    const ipv6 = { outbound: 'works', inbound: 'blocked' } as const
    expect(ipv6Lines(ipv6)).toEqual(['IPv6: works outwards, blocked inwards'])
    const [advice] = ipv6Advice(ipv6, reportWith({ strategies }), dual)
    expect(advice).toContain('the router (fe80::1%eth0)')
    expect(advice).toContain('no pinhole was opened (pcp: the port is closed).')
  })

  it('blocked inwards despite a pinhole is another firewall', () => {
    const pinhole = withCandidate({ type: 'mapped', strategy: 'pcp', state: 'refuted' })
    const [advice] = ipv6Advice({ outbound: 'unknown', inbound: 'blocked' }, pinhole, dual)
    expect(advice).toContain('opened a pinhole by pcp')
  })

  it('IPv6 that does not reach out says so', () => {
    const ipv6 = { outbound: 'fails', inbound: 'unknown' } as const
    expect(ipv6Lines(ipv6)).toHaveLength(1)
    expect(ipv6Advice(ipv6, nothing, dual)).toEqual([expect.stringContaining('fe80::1%eth0')])
  })
})
