import { once } from 'node:events'
import { join } from 'node:path'
import type { Report } from '@postern/core'
import { canRunLab, openLab, type TopologyName, withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'

const support = await canRunLab()
const program = join(import.meta.dirname, 'support', 'witnessed.mjs')
const witnessServer = join(import.meta.dirname, 'support', 'witness-server.mjs')

type Told = Pick<Report, 'verdict' | 'cause' | 'candidates' | 'advice'> & {
  readonly lines: Report['strategies']
  readonly addresses: readonly string[]
  readonly requests: number
  readonly witnessed: readonly boolean[]
  readonly left: number
  readonly tookMs: number
}

/** Says that it connected, and does not. */
const liar = (outcome: 'connected' | 'timeout'): string => `
  require('node:http').createServer((request, response) => {
    let text = ''
    request.on('data', (part) => (text += part))
    request.on('end', () => {
      const { address, port, protocol } = JSON.parse(text)
      const outcome = '${outcome}' === 'connected' && protocol === 'udp' ? 'sent' : '${outcome}'
      const from = { address: request.socket.localAddress, port: 40000 }
      response.end(JSON.stringify({ outcome, address, port, from }))
    })
  }).listen(4003, () => console.log('listening'))`

const two = 'any,witness:21.0.0.1:4003,witness:http://31.0.0.1:4003'

async function told(
  topology: TopologyName,
  protocol: 'udp' | 'tcp',
  {
    ladder = two,
    host = '0.0.0.0',
    liars = {}
  }: { ladder?: string; host?: string; liars?: Readonly<Record<string, string>> } = {}
): Promise<Told> {
  await using lab = await openLab(withPeers(topology))
  for (const peer of ['alpha', 'bravo', 'charlie']) {
    const text = liars[peer]
    const command = text === undefined ? [witnessServer] : ['-e', text]
    const { stdout } = lab.spawn(peer, [process.execPath, ...command], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (stdout !== null) await once(stdout, 'data')
  }
  const command = [process.execPath, program, protocol, ladder, host]
  const { stdout, stderr } = await lab.run('home', command, { timeoutMs: 25_000 })
  if (stdout.trim() === '') throw new Error(`nothing was said: ${stderr}`)
  return JSON.parse(stdout) as Told
}

describe.skipIf(!support.ok)(
  `expose() with witnesses${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 40_000 },
  () => {
    it('expose has the address of an HTTP server verified, and the server sees no request', async () => {
      const { verdict, cause, addresses, candidates, requests, witnessed } = await told('home', 'tcp')
      expect([verdict, cause, addresses, requests]).toEqual(['public', null, ['/ip4/11.0.0.2/tcp/6000'], 0])
      expect(candidates).toMatchObject([
        {
          address: '/ip4/11.0.0.2/tcp/6000',
          state: 'verified',
          evidence: [{ outcome: 'reachable' }, { outcome: 'reachable' }]
        }
      ])
      expect(witnessed).toEqual([true, true])
    })

    it('expose has the address of a UDP socket verified, and removes its listeners', async () => {
      const { verdict, cause, candidates, left } = await told('home', 'udp')
      expect([verdict, cause, left]).toEqual(['public', null, 0])
      expect(candidates).toMatchObject([{ address: '/ip4/11.0.0.2/udp/6000', state: 'verified' }])
    })

    it.each(['tcp', 'udp'] as const)(
      'expose has both families verified over %s, each by requests of its own',
      async (protocol) => {
        const servers = ['21.0.0.1:4003', '31.0.0.1:4003', '[2a21::1]:4003', '[2a31::1]:4003']
        const ladder = ['any', ...servers.map((each) => `witness:${each}`)].join()
        const { verdict, candidates } = await told('ipv6-firewall', protocol, { ladder, host: '::' })
        expect(verdict).toBe('public')
        const states = candidates.map(({ address, state }) => `${address} ${state}`)
        expect(states.toSorted()).toEqual([
          `/ip4/11.0.0.2/${protocol}/6000 verified`,
          `/ip6/2a00:1::2/${protocol}/6000 verified`
        ])
      }
    )

    it.each(['tcp', 'udp'] as const)(
      'expose announces no address over %s that a router claims wrongly',
      async (protocol) => {
        const { verdict, addresses, candidates } = await told('lying', protocol)
        expect([verdict, addresses]).toEqual(['private', []])
        expect(candidates).toMatchObject([{ address: `/ip4/11.0.0.2/${protocol}/6000`, state: 'refuted' }])
      }
    )

    it('expose believes neither a witness that says yes without a connection, nor one that says no', async () => {
      const liars = { alpha: liar('connected'), bravo: liar('timeout') }
      const ladder = 'any,witness:21.0.0.1:4003,witness:31.0.0.1:4003,witness:41.0.0.1:4003'
      const { verdict, candidates } = await told('home', 'tcp', { ladder, liars })
      expect(verdict).toBe('unknown')
      expect(candidates[0]?.evidence.map(({ party, outcome }) => `${party} ${outcome}`).toSorted()).toEqual([
        '21.0.0.1:4003 inconclusive',
        '31.0.0.1:4003 unreachable',
        '41.0.0.1:4003 reachable'
      ])
    })
  }
)
