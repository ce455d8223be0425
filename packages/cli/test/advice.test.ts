import type { Report } from '@postern/core'
import type { Network } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { describe as describeFindings } from '../src/commands/doctor/text.js'
import type { NamedWitness } from '../src/commands/doctor/trial.js'
import { codeOfWitnesses, withWitnessAdvice } from '../src/commands/doctor/witness-advice.js'
import { connectCommand } from '../src/commands/tunnel/listen.js'
import { nextSteps, withRightGateway } from '../src/shared/next-steps.js'
import { colorsFor } from '../src/shared/terminal.js'

const network: Network = {
  gateways: [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }],
  addresses: ['192.168.1.2']
}
const address = '/ip4/11.0.0.2/tcp/8080'
const report = (changes: Partial<Report> = {}): Report => ({
  schemaVersion: 1,
  verdict: 'private',
  cause: 'no-mapping-service',
  advice: ['Turn on UPnP, NAT-PMP or PCP in the router.'],
  gateway: { address: '192.168.1.1', interface: 'eth0', description: null },
  externalAddresses: [],
  nat: null,
  strategies: [],
  candidates: [],
  ...changes
})
const reachedBy = (party: string): Report['candidates'] => [
  {
    address,
    type: 'mapped',
    strategy: 'pcp',
    endpoint: null,
    state: 'consistent',
    expiresAt: null,
    evidence: [{ party, network: '21.0.0.0/16', outcome: 'reachable', at: '2026-01-01T00:00:00.000Z' }]
  }
]
const witness = (changes: Partial<NamedWitness> = {}): NamedWitness => ({
  peer: '/ip4/21.0.0.1/tcp/4001/p2p/a',
  id: 'a',
  failure: null,
  isWitness: true,
  ...changes
})

describe('the advice of postern doctor', () => {
  it('the advice of doctor only names the router of this machine if another gateway was named', () => {
    const via = 'pcp:192.168.1.77'
    expect(withRightGateway(report(), via, network).advice).toEqual([])
    expect(nextSteps(report(), { command: 'doctor', via, network, port: undefined })).toEqual([
      '192.168.1.77 does not map ports for this machine; its router is 192.168.1.1: postern doctor --via pcp:192.168.1.1'
    ])
  })

  it('the advice of doctor stays as it is if the router itself was named', () => {
    expect(withRightGateway(report(), 'pcp:192.168.1.1', network)).toEqual(report())
  })

  const unverified = report({ verdict: 'public', cause: 'unverified', advice: ['Name a witness to have …'] })

  it.each([
    ['the connection was refused', witness({ failure: 'the connection was refused' })],
    ['does not offer AutoNAT v2', witness({ isWitness: false })]
  ])('the advice of doctor says that no named peer could be asked, with exit code 1: %s', (why, named) => {
    const { advice } = withWitnessAdvice(unverified, [named])
    expect(advice).toEqual([expect.stringMatching(/^None of the named peers could be asked .*--peer ADDRESS$/)])
    expect(advice[0]).toContain(why)
    expect(codeOfWitnesses(unverified, [named])).toBe(1)
  })

  it('the advice of doctor asks for a second peer on another network', () => {
    const reached = { ...unverified, candidates: reachedBy('a') }
    const { advice } = withWitnessAdvice(reached, [witness(), witness({ id: 'b', peer: '/ip4/21.0.0.2/tcp/1/p2p/b' })])
    expect(advice).toEqual([
      'Peers of one network only have reached the address. Name a second one, on another network: postern doctor --peer /ip4/21.0.0.1/tcp/4001/p2p/a --peer ADDRESS'
    ])
    expect(codeOfWitnesses(reached, [witness()])).toBeUndefined()
  })

  it('the advice of doctor stays as it is without named peers', () => {
    expect(withWitnessAdvice(unverified, [])).toBe(unverified)
    expect(codeOfWitnesses(unverified, [])).toBeUndefined()
  })

  it.each(['carrier-nat', 'double-nat', 'reserved-external-address'] as const)(
    'the advice of doctor ends with a tunnel command if another router is in the way: %s',
    (cause) => {
      const [first] = nextSteps(report({ cause }), { command: 'doctor', via: 'any', network, port: undefined })
      expect(first).toContain('postern tunnel listen 8080 --relay RELAY --allow PEER-ID')
    }
  )

  it('the advice of doctor fits into 40 columns, except for commands', () => {
    const reason = { code: 'NO_REPLY', message: 'no answer from 192.168.1.1 to three requests within four seconds' }
    const strategies: Report['strategies'] = [
      { name: 'pcp', kind: null, state: 'unavailable', tookMs: 750, reason, gateway: null, leases: 0 } as never
    ]
    const shown = { readBack: undefined, hairpin: 'unknown' } as const
    const text = describeFindings(
      { report: report({ strategies }), shown, witnesses: [], dryRun: false, steps: [], columns: 40 },
      colorsFor({ isTTY: false })
    )
    const table = text.slice(text.indexOf('pcp'))
    expect(Math.max(...table.split('\n').map((each) => each.length))).toBeLessThanOrEqual(40)
  })
})

describe('the advice of postern map', () => {
  const refused = report({ cause: 'gateway-refused' })
  const steps = (port: number, externalPort?: number): string =>
    nextSteps(refused, { command: 'map', via: 'any', network, port, externalPort }).join('\n')

  it('the advice of map has a command without ports below 1024 if the router may have refused one', () => {
    expect(steps(80)).toContain('Once the program listens on port 8080: postern map 8080')
    expect(steps(80, 8080)).toContain('Once the program listens on port 8080: postern map 8080')
    expect(steps(8443, 443)).toContain('With the same port outside: postern map 8443')
    expect(steps(8080)).not.toContain('postern map')
  })
})

describe('the command that postern tunnel prints for the other home', () => {
  it('the command for the other home has a relay and an unprivileged port', () => {
    expect(connectCommand('PEER', 22, [])).toBe('postern tunnel connect PEER 8022 --relay RELAY')
    expect(connectCommand('PEER', 8080, ['/ip4/1.2.3.4/tcp/1/p2p/R'])).toBe(
      'postern tunnel connect PEER 8080 --relay /ip4/1.2.3.4/tcp/1/p2p/R'
    )
  })
})
