import type { TopologyName } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { doctorReport, enter, posternIn, support, why } from '../../support/in-lab.js'

const verdicts: readonly (readonly [TopologyName, string, string | null, number])[] = [
  ['home', 'public', 'unverified', 0],
  ['home-upnp', 'public', 'unverified', 0],
  ['home-igd1', 'public', 'unverified', 0],
  ['home-nat-pmp', 'public', 'unverified', 0],
  ['home-pcp', 'public', 'unverified', 0],
  ['carrier-nat', 'private', 'carrier-nat', 11],
  ['carrier-nat-upnp', 'private', 'reserved-external-address', 11],
  ['double-nat', 'private', 'double-nat', 11],
  ['double-nat-upnp', 'private', 'reserved-external-address', 11],
  ['lying', 'private', 'double-nat', 11],
  ['no-daemon', 'private', 'no-mapping-service', 11],
  ['silent', 'private', 'no-mapping-service', 11],
  ['symmetric', 'private', 'no-mapping-service', 11],
  // Without a witness, the doctor does not learn that a port is open.
  ['cloud', 'private', 'no-mapping-service', 11],
  ['dmz', 'private', 'no-mapping-service', 11],
  ['forwarded', 'private', 'no-mapping-service', 11],
  ['full-cone', 'private', 'no-mapping-service', 11],
  ['container-bridge', 'private', 'container-bridge', 11],
  ['vpn-default-route', 'private', 'vpn-default-route', 11]
]

describe.skipIf(!support.ok).concurrent(`postern doctor${why}`, { timeout: 30_000 }, () => {
  it.each(verdicts)('doctor in %s reports %s (%s) and exits with %i', async (topology, verdict, cause, exit) => {
    const lab = await enter(topology)
    const report = await doctorReport(lab)
    expect(report).toMatchObject({ schemaVersion: 1, verdict, cause, exit })
    if (cause !== null) expect(report.advice[0]).toMatch(/^[A-Z].*\.$/)
    if (verdict === 'public') expect(report.nat?.hairpin).toMatch(/works|fails/)
    // The trial mapping is gone.
    if (lab.hosts.includes('router')) expect(await lab.rules()).toEqual([])
  })

  it.each(['two-gateways', 'two-default-routes'] as const)(
    'in %s reports the second router, and does not use it',
    async (topology) => {
      const lab = await enter(topology)
      const { verdict, gateway, strategies, advice } = await doctorReport(lab)
      expect({ verdict, gateway: gateway?.address }).toEqual({ verdict: 'public', gateway: '192.168.1.1' })
      expect(strategies.filter(({ state }) => state === 'skipped')[0]?.reason?.code).toBe('SECONDARY_GATEWAY')
      expect(advice.join(' ')).toContain('Another router')
      expect(await lab.rules('second-router')).toEqual([])
    }
  )

  it.each(['home-pcp', 'home-nat-pmp', 'home-upnp'] as const)(
    'in %s asks for the mapping again, and tells what it was told',
    async (topology) => {
      const { stdout } = await posternIn(await enter(topology), ['doctor'])
      expect(stdout).toContain('Mapping: asked again, and the mapping is the same\n')
    }
  )

  it('doctor reports unknown if it may try nothing', async () => {
    const { verdict, cause, advice, exit } = await doctorReport(await enter('no-daemon'), '--via', 'none')
    expect({ verdict, cause, exit }).toEqual({ verdict: 'unknown', cause: null, exit: 12 })
    expect(advice).toEqual([expect.stringMatching(/^Name a strategy/)])
  })

  it('doctor --dry-run changes nothing in the router', async () => {
    const lab = await enter('home')
    const { strategies, candidates } = await doctorReport(lab, '--dry-run')
    expect(strategies.map(({ name, state }) => [name, state])).toEqual([
      ['pcp', 'available'],
      ['nat-pmp', 'available'],
      ['upnp', 'available']
    ])
    expect(candidates).toEqual([])
    expect(await lab.rules()).toEqual([])
  })

  it('doctor checks a manual forward', async () => {
    const lab = await enter('no-daemon')
    const wrong = await doctorReport(lab, '--via', 'manual:192.168.1.2:8080')
    expect(wrong).toMatchObject({
      verdict: 'private',
      strategies: [{ name: 'manual', reason: { code: 'ADDRESS_NOT_ROUTABLE' } }]
    })
    const right = await doctorReport(lab, '--via', 'manual:11.0.0.2:8080')
    expect(right.candidates).toMatchObject([{ type: 'manual', state: 'claimed', address: '/ip4/11.0.0.2/tcp/8080' }])
    expect(right).toMatchObject({ verdict: 'unknown', cause: 'unverified' })
  })

  it('doctor prints a verdict, a table and advice, without colours in a pipe', async () => {
    const lab = await enter('carrier-nat')
    const { stdout, code } = await posternIn(lab, ['doctor'])
    expect(stdout).toContain('Verdict: private (carrier-nat)\n')
    expect(stdout).toMatch(/^strategy +state +time/m)
    expect(stdout).toMatch(/^→ Ask the provider/m)
    expect(stdout).not.toContain('\u001b[')
    expect(code).toBe(11)
  })
})
