import type { Report } from '@postern/core'
import { describe, expect, it } from 'vitest'
import { protocolVerdicts, publicOver, withProtocols } from '../../../src/commands/doctor/protocols.js'
import { reportWith } from '../../support/report.js'

type Candidate = Report['candidates'][number]

const candidate = (
  address: string,
  state: Candidate['state'],
  type: Candidate['type'] = 'observed',
  port = 4001
): Candidate => ({
  address,
  type,
  strategy: 'stun',
  endpoint: { protocol: address.includes('/udp/') ? 'udp' : 'tcp', address: '192.168.1.2', port },
  state,
  expiresAt: null,
  evidence: []
})
const tcp = '/ip4/11.0.0.2/tcp/4001'
const udp = '/ip4/11.0.0.2/udp/4001'
const symmetric = { mapping: 'address-and-port-dependent', filtering: null, hairpin: 'unknown' } as const

describe('the verdict about each protocol', () => {
  it.each<[string, Partial<Report>, string]>([
    [
      'UDP alone was reached',
      { verdict: 'public', cause: null, candidates: [candidate(tcp, 'refuted'), candidate(udp, 'verified')] },
      'private public'
    ],
    [
      'TCP alone was reached',
      { verdict: 'public', cause: null, candidates: [candidate(tcp, 'verified', 'mapped'), candidate(udp, 'refuted')] },
      'public private'
    ],
    [
      'no witness has decided about UDP',
      {
        verdict: 'public',
        cause: null,
        candidates: [candidate(tcp, 'verified', 'mapped'), candidate(udp, 'consistent', 'mapped')]
      },
      'public unknown'
    ],
    [
      'no address over UDP is known',
      { verdict: 'public', cause: null, candidates: [candidate(tcp, 'verified')] },
      'public unknown'
    ],
    [
      'the router alone says so',
      {
        verdict: 'public',
        cause: 'unverified',
        candidates: [candidate(tcp, 'consistent', 'mapped'), candidate(udp, 'refuted', 'mapped')]
      },
      'public private'
    ],
    [
      'an observed address was not tried',
      { candidates: [candidate(tcp, 'refuted'), candidate(udp, 'claimed')] },
      'private unknown'
    ],
    ['nothing could be tried', { verdict: 'private' }, 'private private'],
    ['nothing is decided', { verdict: 'unknown', cause: null }, 'unknown unknown'],
    [
      'the router claims a wrong address',
      { cause: 'double-nat', candidates: [candidate(tcp, 'claimed', 'mapped'), candidate(udp, 'claimed', 'mapped')] },
      'private private'
    ],
    [
      'the port that one STUN server sees was not tried, behind a symmetric NAT',
      {
        verdict: 'unknown',
        nat: symmetric,
        candidates: [candidate(tcp, 'refuted'), candidate(udp, 'refuted'), candidate('/ip4/11.0.0.2/udp/9', 'claimed')]
      },
      'private private'
    ]
  ])('%s', (_, changes, expected) => {
    const verdicts = protocolVerdicts(reportWith(changes))
    expect(`${verdicts.tcp} ${verdicts.udp}`).toBe(expected)
  })

  it('the heading names the one protocol that can be reached', () => {
    expect(publicOver({ tcp: 'private', udp: 'public' })).toBe('over UDP only')
    expect(publicOver({ tcp: 'public', udp: 'unknown' })).toBe('over TCP')
    expect(publicOver({ tcp: 'public', udp: 'public' })).toBeUndefined()
    expect(publicOver({ tcp: 'private', udp: 'unknown' })).toBeUndefined()
  })

  it('a report about TCP alone stays as it is', () => {
    const report = reportWith()
    expect(withProtocols(report, 'untried')).toBe(report)
  })

  it('the advice comes first, and says what a server over each protocol needs', () => {
    const candidates = [candidate(tcp, 'refuted'), candidate(udp, 'verified')]
    const reached = reportWith({ verdict: 'public', cause: null, advice: [], candidates })
    const { advice } = withProtocols(reached, 'provable')
    expect(advice[0]).toBe('UDP can be reached; TCP cannot.')
    expect(advice[1]).toContain('forward its TCP port to 192.168.1.2 by hand in the settings of 192.168.1.1')
    expect(advice[2]).toContain('only while that socket sends')
    // A router that maps the port keeps it open itself.
    const mapped = [candidate(tcp, 'refuted', 'mapped'), candidate(udp, 'verified', 'mapped')]
    expect(withProtocols({ ...reached, candidates: mapped }, 'provable').advice).toHaveLength(2)
  })

  it('the verdict is private once both protocols are', () => {
    const candidates = [
      candidate(tcp, 'refuted'),
      candidate(udp, 'refuted'),
      candidate('/ip4/11.0.0.2/udp/9', 'claimed')
    ]
    const undecided = reportWith({ verdict: 'unknown', nat: symmetric, candidates })
    expect(withProtocols(undecided, 'provable').verdict).toBe('private')
    expect(withProtocols({ ...undecided, nat: null }, 'provable').verdict).toBe('unknown')
  })
})
