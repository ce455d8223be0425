import type { Report } from '@postern/core'
import { describe, expect, it } from 'vitest'
import type { NamedWitness } from '../../../src/commands/doctor/trial.js'
import { codeOfWitnesses, withWitnessAdvice } from '../../../src/commands/doctor/witness-advice.js'
import { reportWith as report } from '../../support/report.js'

const address = '/ip4/11.0.0.2/tcp/8080'
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
  option: '--peer',
  peer: '/ip4/21.0.0.1/tcp/4001/p2p/a',
  id: 'a',
  failure: null,
  isWitness: true,
  ...changes
})

describe('the advice of postern doctor about named peers', () => {
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
      'Only peers of one network have reached the address. Name a second one, on another network: postern doctor --peer /ip4/21.0.0.1/tcp/4001/p2p/a --peer ADDRESS'
    ])
    expect(codeOfWitnesses(reached, [witness()])).toBeUndefined()
  })

  it('the advice of doctor says that no witness has tried the port if there was no address to try', () => {
    const servers = [witness({ option: '--witness', peer: 'http://203.0.113.9:4003' })]
    const { advice } = withWitnessAdvice(report(), servers)
    expect(advice).toEqual([expect.stringMatching(/^No witness has tried the port/), ...report().advice])
    const tried = report({ candidates: reachedBy('a') })
    expect(withWitnessAdvice(tried, servers).advice).toEqual(tried.advice)
  })

  it('the advice of doctor stays as it is without named peers', () => {
    expect(withWitnessAdvice(unverified, [])).toBe(unverified)
    expect(codeOfWitnesses(unverified, [])).toBeUndefined()
  })
})
