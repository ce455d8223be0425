import { natError } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import type { StrategyEntry } from '../../src/discovery/discoveries.js'
import { createStrategyStatus } from '../../src/discovery/strategy-status.js'
import { doubleNatAdvice } from '../../src/report/double-nat-advice.js'
import type { CandidateFact, Facts } from '../../src/report/facts.js'
import { home, web } from '../support.js'

const refusal = natError('DOUBLE_NAT', 'it maps nothing', { externalAddress: '192.168.0.2' })
const entry = (absence: StrategyEntry['absence']): StrategyEntry => ({
  name: 'pcp',
  rank: 0,
  kind: 'mapper',
  named: undefined,
  count: undefined,
  abilities: new Map(),
  absence,
  unheard: undefined,
  described: new Map(),
  settled: true,
  tookMs: 1,
  status: createStrategyStatus()
})
const near: CandidateFact = { address: '/ip4/192.168.0.2/tcp/8080', type: 'mapped', state: 'claimed', strategy: 'pcp' }
const far: CandidateFact = { ...near, address: '/ip4/10.0.0.2/tcp/8081', through: near.address }
const advice = (changes: Partial<Facts>): string | undefined =>
  doubleNatAdvice({
    network: home,
    wants: [{ endpoint: web, externalPort: undefined, lifetimeMs: 1, suffix: '' }],
    entries: [],
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

describe('the advice behind two routers', () => {
  it('names what to enter in both where the inner one refuses and tells its address', () => {
    expect(advice({ entries: [entry(refusal)] })).toBe(
      'Forward TCP port 8080 to 192.168.0.2, port 8080, by hand in the settings of the outer router (probably 192.168.0.1), and TCP port 8080 to 192.168.1.2, port 8080, in those of 192.168.1.1, and name it with manual: 192.168.1.1 does not map ports behind another router. Or put one of the two routers into bridge mode.'
    )
  })

  it('names the service to turn on where only the inner one maps', () => {
    expect(advice({ candidates: [near], beyond: { gateway: undefined, isPending: false } })).toMatch(
      /^Turn on UPnP, NAT-PMP or PCP in the outer router \(probably 192\.168\.0\.1\), or forward TCP port 8080 to 192\.168\.0\.2/
    )
  })

  it('names the outer router that has answered and refused', () => {
    expect(advice({ candidates: [near], beyond: { gateway: '192.168.0.254', isPending: false } })).toMatch(
      /^Allow port mapping for other routers in the outer router \(192\.168\.0\.254\), or forward/
    )
  })

  it('names the third router', () => {
    expect(advice({ candidates: [near, far], beyond: { gateway: '192.168.0.1', isPending: false } })).toBe(
      'Put one of the routers into bridge mode, or forward TCP port 8081 to 10.0.0.2, port 8081, by hand in the third one (probably 10.0.0.1): 192.168.0.1 is behind it, and only two routers in a row are mapped.'
    )
  })

  it('is left to the general advice where the external address is not known', () => {
    expect(advice({ entries: [entry(natError('DOUBLE_NAT', 'it lies beyond'))] })).toBeUndefined()
    expect(advice({ entries: [entry(refusal)], network: { gateways: [], addresses: [] } })).toBeUndefined()
    expect(advice({ entries: [entry(refusal)], wants: [] })).toBeUndefined()
  })
})
