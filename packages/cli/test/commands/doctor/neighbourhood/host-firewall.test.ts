import type { HostFirewallReport, Report } from '@postern/core'
import { expect, it } from 'vitest'
import {
  findHostFirewall,
  hostFirewallLines,
  withHostFirewall
} from '../../../../src/commands/doctor/neighbourhood/host-firewall.js'
import { reportWith } from '../../../support/report.js'

const blocking: HostFirewallReport = {
  tool: 'ufw',
  state: 'blocks',
  reason: 'the chain INPUT of the table ip filter accepts no connection to the port',
  command: 'sudo ufw allow PORT/tcp'
}
const unknown: HostFirewallReport = {
  tool: 'nftables',
  state: 'unknown',
  reason: 'this user may not read the rules',
  command: 'sudo nft list ruleset'
}

type Candidate = Report['candidates'][number]
const candidate = (
  state: Candidate['state'],
  outcome?: 'reachable' | 'unreachable',
  address = '/ip4/11.0.0.2/tcp/8080'
): Candidate => ({
  address,
  type: 'mapped',
  strategy: 'pcp',
  endpoint: { protocol: 'tcp', address: '192.168.1.2', port: 8080 },
  state,
  expiresAt: null,
  evidence:
    outcome === undefined ? [] : [{ party: 'a', network: '21.0.0.0/16', outcome, at: '2026-01-01T00:00:00.000Z' }]
})

const after = (hostFirewall: HostFirewallReport | null, changes: Partial<Report>, port?: number): Report =>
  withHostFirewall(
    {
      ...reportWith(changes),
      neighbourhood: {
        router: null,
        mappings: null,
        udp: 'unknown',
        ipv6: { outbound: 'unknown', inbound: 'unknown' },
        translation: null,
        captivePortal: null,
        hostFirewall
      }
    },
    port
  )

it('a firewall that drops the connections makes a mapped address private, and says how to let them in', () => {
  const unverified = {
    verdict: 'public',
    cause: 'unverified',
    advice: ['Name a witness to have the address verified.'],
    candidates: [candidate('consistent')]
  } as const
  expect(after(blocking, unverified)).toMatchObject({
    verdict: 'private',
    cause: 'blocked',
    advice: [
      'The firewall of this machine (ufw) drops connections to the port, whatever the router does. Let them in: sudo ufw allow PORT/tcp. The port of this run was a free one: put that of your server for PORT, and name it (postern doctor --port PORT).'
    ]
  })
  const named = after({ ...blocking, command: 'sudo ufw allow 8080/tcp' }, unverified, 8080)
  expect(named.advice).toEqual([
    'The firewall of this machine (ufw) drops connections to the port, whatever the router does. Let them in: sudo ufw allow 8080/tcp.'
  ])
})

it('a firewall that drops the connections is what the witnesses met, and not the router', () => {
  const report = after(blocking, {
    verdict: 'private',
    cause: 'mapping-not-honoured',
    advice: ['Look for another router or a firewall behind this one: it grants mappings.', 'Other advice.'],
    candidates: [candidate('refuted', 'unreachable')]
  })
  expect(report).toMatchObject({ verdict: 'private', cause: 'blocked' })
  expect(report.advice).toEqual([expect.stringContaining('is enough to keep the witnesses out'), 'Other advice.'])
})

it.each([
  [
    'UDP',
    'drops connections to the port',
    { protocols: { tcp: 'unknown', udp: 'public' } as const, candidates: [candidate('consistent')] }
  ],
  [
    'IPv6',
    'drops connections over IPv4 to the port',
    { candidates: [candidate('consistent'), candidate('consistent', undefined, '/ip6/2a00::1/tcp/8080')] }
  ]
])('a firewall that drops TCP over IPv4 does not decide about %s', (_, said, changes) => {
  const report = after(blocking, { verdict: 'public', cause: 'unverified', ...changes })
  expect(report.verdict).toBe('public')
  expect(report.advice[0]).toContain(said)
})

it('a firewall that a witness came through lets connections in, whatever its rules seem to say', () => {
  for (const each of [blocking, unknown]) {
    const report = after(each, {
      verdict: 'public',
      cause: null,
      advice: [],
      candidates: [candidate('verified', 'reachable')]
    })
    expect(report.neighbourhood?.hostFirewall).toMatchObject({ state: 'lets-in', command: null })
    expect(report).toMatchObject({ verdict: 'public', advice: [] })
  }
})

it('a firewall whose rules are not known is worth a word only if a witness tried in vain', () => {
  const before = { verdict: 'private', cause: 'mapping-not-honoured', advice: ['A.'] } as const
  expect(after(unknown, { ...before, candidates: [candidate('refuted', 'unreachable')] }).advice).toEqual([
    'A.',
    'Look at the firewall of this machine (nftables) too: whether it lets the connections in is not known, because this user may not read the rules. See its rules: sudo nft list ruleset'
  ])
  expect(after(unknown, before).advice).toEqual(['A.'])
})

it('a firewall that is off, or none, changes nothing', () => {
  for (const each of [null, { ...blocking, state: 'inactive' } as const]) {
    const { neighbourhood, ...report } = after(each, {})
    expect(report).toEqual(reportWith())
    expect(neighbourhood?.hostFirewall).toEqual(each)
  }
})

it('a firewall has a line only if it blocks', () => {
  expect(hostFirewallLines(blocking)).toEqual([
    'Firewall of this machine: ufw drops the connections (the chain INPUT of the table ip filter accepts no connection to the port)'
  ])
  for (const state of ['unknown', 'inactive', 'lets-in'] as const)
    expect(hostFirewallLines({ ...blocking, state })).toEqual([])
})

it.each([
  ['win32', String.raw`C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe`, 'windows'],
  ['darwin', 'pfctl', 'macos'],
  ['linux', 'nft', 'nftables'],
  ['sunos', undefined, undefined]
] as const)('the firewall on %s is asked with its own programs', async (platform, program, tool) => {
  const asked: string[] = []
  const run = async (command: string) => {
    asked.push(command)
    return { code: 1, stdout: '', stderr: 'no' }
  }
  const network = { gateways: [], addresses: ['192.168.1.2'] }
  const found = await findHostFirewall(
    8080,
    undefined,
    network,
    { signal: new AbortController().signal },
    { platform, run }
  )
  expect(found?.tool).toBe(tool)
  if (program === undefined) expect(asked).toEqual([])
  else expect(asked).toContain(program)
})

it('the firewall is not asked without a port, and after an interruption nothing is claimed', async () => {
  const network = { gateways: [], addresses: [] }
  const run = async () => ({ code: 1, stdout: '', stderr: '' })
  const over = new AbortController()
  expect(await findHostFirewall(undefined, undefined, network, over, { run })).toBeNull()
  over.abort()
  expect(await findHostFirewall(8080, 8080, network, over, { run })).toBeNull()
})
