import type { MappingEvent, Report } from '@postern/core'
import pc from 'picocolors'
import { describe, expect, it } from 'vitest'
import { describeConclusion, describeMapping, inWordsOfNode } from '../../../src/commands/peer/text.js'

const plain = pc.createColors(false)
const colored = pc.createColors(true)
const red = `${String.fromCharCode(27)}[31m`
const none = { relays: 0, peers: 0 }
const report = (verdict: Report['verdict'], cause: Report['cause'], advice: readonly string[] = []): Report => ({
  schemaVersion: 1,
  verdict,
  cause,
  advice,
  gateway: null,
  externalAddresses: [],
  nat: null,
  strategies: [],
  candidates: []
})
const event = (name: MappingEvent['event'], more: Partial<MappingEvent> = {}): MappingEvent => ({
  event: name,
  strategy: 'pcp',
  protocol: 'tcp',
  internal: { address: '192.168.1.2', port: 4001 },
  external: null,
  lifetimeSeconds: null,
  ...more
})

describe('what postern peer says', () => {
  it('node reports no failure and no steps while the verdict is unknown', () => {
    const text = describeConclusion(report('unknown', 'carrier-nat', ['Ask the provider.']), none, colored)
    expect(text).toContain('Not known yet whether peers can reach this node (carrier-nat): still trying.')
    expect(text).not.toContain(red)
    expect(text).not.toContain('Ask the provider')
  })

  it('node ends its verdict with a command to run next', () => {
    expect(
      describeConclusion(report('private', 'carrier-nat', ['Ask the provider.']), none, plain).split('\n')
    ).toEqual([
      'Verdict: private (carrier-nat): peers of other networks cannot reach this node now; it runs on, and tries again',
      '→ Ask the provider.',
      '$ Have peers reach this node through a relay: postern peer --relay ADDRESS',
      '$ For the whole report: postern doctor'
    ])
    expect(describeConclusion(report('public', 'unverified'), none, plain)).toContain('postern peer --peer ADDRESS')
  })

  it('node does not suggest options that were given', () => {
    const named = { relays: 1, peers: 2 }
    expect(describeConclusion(report('private', 'blocked'), named, plain)).not.toContain('--relay')
    expect(describeConclusion(report('public', 'unverified'), named, plain)).not.toContain('--peer')
    const reason = { code: 'NO_REPLY', message: 'the relay does not answer' }
    expect(inWordsOfNode(named)(reason, 'relay')).toEqual(reason)
    expect(inWordsOfNode(none)(reason, 'relay').message).toBe('not in use: no relay is named (--relay)')
  })

  it('node prints a failed mapping as a remark, and a grant without a tick', () => {
    const failed = describeMapping(
      event('failed', { reasons: [{ strategy: 'pcp', code: 'REFUSED', message: 'closed' }] }),
      colored
    )
    expect(failed).not.toContain(red)
    expect(failed).toContain('closed')
    expect(describeMapping(event('mapped', { external: { address: '11.0.0.2', port: 4001 } }), plain)).toBe(
      '  mapped   tcp 192.168.1.2:4001 → 11.0.0.2:4001 by pcp, for good'
    )
  })
})
