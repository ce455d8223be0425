import { AssertionError } from 'node:assert'
import { formatMultiaddr, type Lease, natError, type Strategy } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { conformance, gatewayWorld } from '../src/index.js'
import { partySubject } from './broken/parties.js'
import { failures } from './reference-subject.js'

/** A strategy that grants every mapping without a request, as some libraries do. */
const yes: Strategy = () => ({
  name: 'yes',
  async discover({ gateways: [gateway] }, found, { signal }) {
    if (gateway === undefined) throw natError('NO_GATEWAY', 'there is no gateway')
    if (signal.aborted) return
    for (const family of [4, 6] as const) {
      found({
        kind: 'mapper',
        gateway,
        family,
        protocols: ['tcp', 'udp'],
        async map({ endpoint, suggestedExternalPort, lifetimeMs }, call) {
          call.signal.throwIfAborted()
          if (endpoint.family !== family) throw new TypeError('the other family')
          const lease = (): Lease => ({
            addresses: [
              formatMultiaddr(family === 4 ? '1.2.3.4' : '2a0a:6::10', endpoint.protocol, suggestedExternalPort)
            ],
            lifetimeMs,
            renew: async () => lease(),
            release: async () => undefined
          })
          return lease()
        }
      })
    }
  }
})

describe('conformance', () => {
  it('conformance() returns distinct ids, and a sentence as each name', async () => {
    const tests = await conformance(gatewayWorld({ create: () => yes }))
    const ids = tests.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    for (const { id, name } of tests) {
      expect(id).toMatch(/^[a-z]+(-[a-z]+)*$/)
      expect(name).toMatch(/^\S.* .*[^.]$/)
    }
  })

  it('conformance() skips tests of missing abilities with a reason', async () => {
    const tests = await conformance(partySubject('witness'))
    const skipped = Object.fromEntries(tests.map(({ id, skip }) => [id, skip]))
    expect(skipped['map-makes-a-rule']).toBe('the strategy finds no mapper')
    expect(skipped['observe-gives-an-observation']).toBe('the strategy finds no observer')
    expect(skipped['discover-changes-nothing']).toBeUndefined()
    expect(skipped['verify-gives-evidence']).toBeUndefined()
  })

  it('run of a skipped test rejects', async () => {
    const [first] = (await conformance(partySubject('witness'))).filter(({ skip }) => skip !== undefined)
    await expect(first?.run()).rejects.toThrow(`skipped: ${first?.skip}`)
  })

  it('a strategy that grants without a request fails', async () => {
    const failed = await failures(gatewayWorld({ create: () => yes }))
    expect(failed).toEqual(['map-makes-a-rule', 'map-takes-its-mapping-back'])
  })

  it('a failed test reports the fault and the ability', async () => {
    const tests = await conformance(gatewayWorld({ create: () => yes }))
    const test = tests.find(({ id }) => id === 'map-makes-a-rule')
    await expect(test?.run()).rejects.toThrow(AssertionError)
    await expect(test?.run()).rejects.toThrow(
      'IPv4 mapper of 192.168.1.1: the number of mappings outside for one lease'
    )
  })

  it('a strategy that finds nothing fails with a clear message', async () => {
    const nothing: Strategy = () => ({ name: 'nothing', kind: 'mapper', discover: async () => undefined })
    const tests = await conformance(gatewayWorld({ create: () => nothing }))
    const test = tests.find(({ id }) => id === 'map-makes-a-rule')
    await expect(test?.run()).rejects.toThrow('discover finds no mapper')
  })
})
