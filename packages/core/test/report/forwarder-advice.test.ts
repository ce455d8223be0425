import { type ErrorCode, type Forwarder, natError } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import type { StrategyEntry } from '../../src/discovery/discoveries.js'
import { createStrategyStatus } from '../../src/discovery/strategy-status.js'
import type { CandidateFact } from '../../src/report/facts.js'
import { carrierNatAdvice, forwarderAdvice, onlyForwardersAdvice } from '../../src/report/forwarder-advice.js'
import { web } from '../support.js'

const forwarder: Forwarder = {
  kind: 'forwarder',
  party: { id: 'vps.example.org:22', network: '203.0.0.0/16' },
  protocols: ['tcp'],
  isEncrypted: true,
  tellsClients: true,
  forward: () => Promise.reject(new Error('not called'))
}

function ssh(failure?: ErrorCode, kind: StrategyEntry['kind'] = 'forwarder'): StrategyEntry {
  const status = createStrategyStatus()
  if (failure !== undefined) status.failed(natError(failure, 'the key is not known'))
  return {
    name: 'ssh',
    rank: 0,
    kind,
    named: undefined,
    count: undefined,
    abilities: new Map(kind === 'forwarder' ? [['vps', forwarder]] : []),
    absence: undefined,
    unheard: undefined,
    described: new Map(),
    settled: true,
    tookMs: 1,
    status
  }
}
const wants = (protocol: 'tcp' | 'udp') => [
  { endpoint: { ...web, protocol }, externalPort: undefined, lifetimeMs: 1, suffix: '' }
]

describe('the advice about forwarders', () => {
  it('name the reason of a forwarder that has no port', () => {
    const facts = { entries: [ssh('UNTRUSTED_REPLY')], candidates: [], wants: wants('tcp') }
    expect(forwarderAdvice(facts, 'private')).toEqual(['ssh has no port of the other host: the key is not known.'])
    expect(forwarderAdvice(facts, 'public')).toEqual([])
    expect(forwarderAdvice({ ...facts, entries: [ssh()] }, 'private')).toEqual([])
  })

  it('says that a forwarder of TCP does not carry UDP', () => {
    expect(forwarderAdvice({ entries: [ssh()], candidates: [], wants: wants('udp') }, 'private')).toEqual([
      'Do not rely on ssh: it does not carry UDP.'
    ])
  })

  it('says what a forwarder in use lacks', () => {
    const relay = { party: 'bore.example.org:7835', network: '203.0.0.0/16', isEncrypted: false, tellsClients: false }
    const candidate: CandidateFact = {
      address: '/ip4/203.0.113.9/tcp/8080',
      type: 'relayed',
      state: 'consistent',
      strategy: 'bore',
      relay
    }
    expect(forwarderAdvice({ entries: [], candidates: [candidate], wants: wants('tcp') }, 'relayed')).toEqual([
      'bore bore.example.org:7835 carries the connections. Serve TLS: the connections from there to this machine are not encrypted. The program sees a loopback address instead of the address of each client.'
    ])
  })

  it('names any where forwarders are the only strategies', () => {
    expect(onlyForwardersAdvice({ entries: [ssh()] })).toMatch(/^Add any .* with ssh alone no router is asked\.$/)
    expect(onlyForwardersAdvice({ entries: [ssh(), ssh(undefined, 'mapper')] })).toBeUndefined()
    expect(onlyForwardersAdvice({ entries: [] })).toBeUndefined()
  })

  it('suggests ssh behind a carrier only where it helps and none is named', () => {
    const advice = (protocol: 'tcp' | 'udp', entries: readonly StrategyEntry[], relays = 0): string =>
      carrierNatAdvice({ entries, relays, wants: wants(protocol) })
    expect(advice('tcp', [])).toContain('use IPv6, or add a relay (ssh:<user>@<host> for a plain program)')
    expect(advice('udp', [])).toContain('use IPv6, or add a relay:')
    expect(advice('tcp', [ssh()])).toContain('address, or use IPv6:')
    expect(advice('tcp', [], 1)).toContain('address, or use IPv6:')
  })
})
