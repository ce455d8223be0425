import type { Finding, Strategy } from '@postern/interface'
import { virtualClock } from '@postern/testkit'
import { describe, expect, it } from 'vitest'
import { begin, end, scripted, stage, web, witnesses } from '../support.js'

/** Sets up a traversal with a mapper, two witnesses and a strategy that reports an invalid finding. */
function setUp(finding: unknown) {
  const clock = virtualClock()
  const invalid: Strategy = () => ({
    name: 'invalid',
    kind: 'witness',
    async discover(_network, found) {
      found(finding as Finding)
    }
  })
  return stage(
    (trace) => [scripted('pcp', trace, clock).strategy, invalid, witnesses({ a: 'reachable', b: 'reachable' }, clock)],
    { clock }
  )
}

describe('a strategy that finds an invalid party', () => {
  it.each([
    ['a witness with an object as its id', { kind: 'witness', party: { id: { multihash: 1 }, network: '9.0.0.0/16' } }],
    ['a witness without a network', { kind: 'witness', party: { id: 'x' } }],
    ['a relay without a party', { kind: 'relay' }],
    ['an address that no party sees', { kind: 'notice', what: 'observed', address: '/ip4/11.0.0.2/tcp/1' }]
  ])('%s is a fault of this strategy, and the others work', async (_, finding) => {
    const each = setUp(finding)
    each.traversal.addEndpoint(web)
    await begin(each, 5000)
    const { verdict, strategies } = each.traversal.report()
    expect(verdict).toBe('public')
    expect(strategies.find(({ name }) => name === 'invalid')).toMatchObject({ reason: { code: 'STRATEGY_FAULT' } })
    await end(each)
    expect(each.clock.pending).toBe(0)
  })
})

describe('a fault within a review', () => {
  it('neither ends the process nor the reviews', async () => {
    let isFaulty = false
    const party = {
      id: 'x',
      get network(): string {
        if (isFaulty) throw new Error('a fault')
        return '9.0.0.0/16'
      }
    }
    const each = setUp({ kind: 'witness', party, verify: async () => ({ outcome: 'inconclusive' }) })
    await begin(each)
    isFaulty = true
    each.traversal.addEndpoint(web)
    await each.clock.advance(5000)
    isFaulty = false
    each.traversal.recheck()
    each.traversal.addEndpoint({ ...web, port: 8081 })
    await each.clock.advance(5000)
    expect(each.traversal.report().verdict).toBe('public')
    await end(each)
  })
})
