import type { AddressManager } from '@libp2p/interface-internal'
import type { CandidateReport } from '@postern/core'
import { describe, expect, it } from 'vitest'
import { createAnnouncer } from '../src/announcer.js'

const candidate = (
  address: string,
  type: CandidateReport['type'],
  state: CandidateReport['state']
): CandidateReport => ({
  address,
  type,
  strategy: 'pcp',
  endpoint: { protocol: 'tcp', address: '192.168.1.2', port: 4001 },
  state,
  expiresAt: null,
  evidence: []
})

/** Returns the calls to the AddressManager for these candidates without a witness strategy. */
function told(...candidates: readonly CandidateReport[]): readonly string[] {
  const hosts: string[] = []
  const manager: Partial<AddressManager> = {
    addPublicAddressMapping: (...[, , externalIp]) => void hosts.push(externalIp),
    removePublicAddressMapping: () => undefined,
    confirmObservedAddr: () => undefined,
    removeObservedAddr: () => undefined
  }
  createAnnouncer(manager as AddressManager, false).update(candidates)
  return hosts
}

describe('an unverified external address', () => {
  it('an unverified global address is passed to the AddressManager', () => {
    expect(told(candidate('/ip4/11.0.0.2/tcp/4001', 'mapped', 'consistent'))).toEqual(['11.0.0.2'])
  })

  it.each(['10.0.0.2', '192.168.1.1', '127.0.0.1', '169.254.169.254', '100.64.0.1', '224.0.0.1', '0.0.0.0'])(
    'an unverified address %s of a router is not passed to the AddressManager',
    (host) => expect(told(candidate(`/ip4/${host}/tcp/4001`, 'mapped', 'claimed'))).toEqual([])
  )

  it('the port of a forwarder is passed to the AddressManager', () => {
    expect(told(candidate('/ip4/11.0.0.9/tcp/1', 'relayed', 'consistent'))).toEqual(['11.0.0.9'])
    expect(told(candidate('/ip4/192.168.1.9/tcp/1', 'relayed', 'claimed'))).toEqual([])
  })

  it('addresses at relays and observed addresses are not passed to the AddressManager', () => {
    expect(told({ ...candidate('/ip4/11.0.0.9/tcp/1', 'relayed', 'consistent'), endpoint: null })).toEqual([])
    expect(told(candidate('/ip4/11.0.0.9/tcp/1', 'observed', 'claimed'))).toEqual([])
  })
})
