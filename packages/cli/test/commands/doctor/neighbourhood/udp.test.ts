import { describe, expect, it } from 'vitest'
import type { ServerProbe } from '../../../../src/commands/doctor/neighbourhood/named-servers.js'
import { udpAdvice, udpLines, udpOf } from '../../../../src/commands/doctor/neighbourhood/udp.js'
import { reportWith } from '../../../support/report.js'

const probe = (udp: ServerProbe['udp'], tcp: ServerProbe['tcp'], network = '21.0.0.0/16'): ServerProbe => ({
  host: network.replace('/16', ''),
  family: 4,
  isTranslated: false,
  network,
  udp,
  tcp
})
const other = '31.0.0.0/16'
const witnessed = (outcome: 'unreachable' | 'inconclusive'): ReturnType<typeof reportWith> =>
  reportWith({
    candidates: [
      {
        address: '/ip4/11.0.0.2/tcp/4001',
        type: 'mapped',
        strategy: 'pcp',
        endpoint: { protocol: 'tcp', address: '192.168.1.2', port: 4001 },
        state: 'claimed',
        expiresAt: null,
        evidence: [{ party: '41.0.0.1:4003', network: '41.0.0.0/16', outcome, at: '2026-01-01T00:00:00.000Z' }]
      }
    ]
  })
const nothing = reportWith()

describe('UDP to the internet', () => {
  it.each<[string, ServerProbe[], ReturnType<typeof reportWith>, string]>([
    ['no server was named', [], nothing, 'unknown'],
    ['one server answers', [probe('answered', 'untried'), probe('silent', 'answered', other)], nothing, 'works'],
    ['one server is silent, and does not answer over TCP either', [probe('silent', 'failed')], nothing, 'unknown'],
    ['one server is silent, and answers over TCP', [probe('silent', 'answered')], nothing, 'blocked'],
    ['two servers are silent', [probe('silent', 'failed'), probe('silent', 'failed', other)], nothing, 'unknown'],
    [
      'two servers are silent, and a witness answers',
      [probe('silent', 'failed'), probe('silent', 'failed', other)],
      witnessed('unreachable'),
      'blocked'
    ],
    [
      'two servers are silent, and a witness does not answer',
      [probe('silent', 'failed'), probe('silent', 'failed', other)],
      witnessed('inconclusive'),
      'unknown'
    ],
    [
      'two servers of one network are silent',
      [probe('silent', 'failed'), probe('silent', 'failed')],
      witnessed('unreachable'),
      'unknown'
    ],
    [
      'two servers are silent, and something else answers over TCP',
      [probe('silent', 'open'), probe('silent', 'failed', other)],
      nothing,
      'blocked'
    ],
    ['no server could be asked', [probe('failed', 'answered'), probe('failed', 'answered', other)], nothing, 'unknown']
  ])('%s', (_, probes, report, expected) => expect(udpOf(probes, report, true)).toBe(expected))

  it('silence counts only once every server was asked to the end', () => {
    expect(udpOf([probe('silent', 'answered')], nothing, false)).toBe('unknown')
    expect(udpOf([probe('answered', 'untried')], nothing, false)).toBe('works')
  })

  it('only blocked UDP is worth a line', () => {
    expect([...udpLines('works'), ...udpLines('unknown'), ...udpAdvice('works')]).toEqual([])
    expect([udpLines('blocked').length, udpAdvice('blocked').length]).toEqual([1, 1])
  })
})
