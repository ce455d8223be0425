import { once } from 'node:events'
import { join } from 'node:path'
import type { Report } from '@postern/core'
import { canRunLab, openLab, type Topology, type TopologyName, withPeers, withRouter, withStun } from '@postern/lab'
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
      if (text === '') return response.writeHead(404).end()
      const { address, port, protocol } = JSON.parse(text)
      const outcome = '${outcome}' === 'connected' && protocol === 'udp' ? 'sent' : '${outcome}'
      const from = { address: request.socket.localAddress, port: 40000 }
      response.end(JSON.stringify({ outcome, address, port, from }))
    })
  }).listen(4003, () => console.log('listening'))`

const two = 'any,witness:21.0.0.1:4003,witness:http://31.0.0.1:4003'

async function told(
  topology: TopologyName | Topology,
  protocol: 'udp' | 'tcp',
  {
    ladder = two,
    host = '0.0.0.0',
    port = 6000,
    liars = {},
    stunServers
  }: {
    ladder?: string
    host?: string
    port?: number
    liars?: Readonly<Record<string, string>>
    /** The hosts that are STUN servers and not witnesses. */
    stunServers?: readonly string[]
  } = {}
): Promise<Told> {
  await using lab = await openLab(stunServers === undefined ? withPeers(topology) : withStun(topology))
  for (const peer of ['alpha', 'bravo', 'charlie', 'outsider']) {
    if (stunServers?.includes(peer)) continue
    const text = liars[peer]
    const command = text === undefined ? [witnessServer] : ['-e', text]
    const { stdout } = lab.spawn(peer, [process.execPath, ...command], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (stdout !== null) await once(stdout, 'data')
  }
  const command = [process.execPath, program, protocol, ladder, host, String(port)]
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

    it.each(
      (['cloud', 'dmz', 'forwarded'] as const).flatMap((topology) =>
        (['tcp', 'udp'] as const).map((protocol) => [topology, protocol] as const)
      )
    )(
      'expose finds the open port of the topology %s over %s, although no router maps it',
      async (topology, protocol) => {
        const { verdict, cause, addresses, candidates } = await told(topology, protocol, { port: 4001 })
        const address = `/ip4/11.0.0.2/${protocol}/4001`
        expect([verdict, cause, addresses]).toEqual(['public', null, [address]])
        expect(candidates).toMatchObject([{ address, type: 'observed', strategy: 'witness', state: 'verified' }])
      }
    )

    it.each(
      (['no-daemon', 'symmetric', 'carrier-nat', 'full-cone'] as const).flatMap((topology) =>
        (['tcp', 'udp'] as const).map((protocol) => [topology, protocol] as const)
      )
    )('expose announces nothing in the topology %s over %s', async (topology, protocol) => {
      const { verdict, addresses, candidates, advice } = await told(topology, protocol, { port: 4001 })
      expect([verdict, addresses]).toEqual(['private', []])
      expect(candidates).toMatchObject([{ type: 'observed', state: 'refuted' }])
      expect(advice.join(' ')).toContain(`11.0.0.2 ${protocol.toUpperCase()} port 4001`)
    })

    const stunThenWitnesses = 'stun:21.0.0.1,stun:31.0.0.1,witness:41.0.0.1:4003,witness:51.0.0.1:4003'

    it.each([
      ['keeps ports', {}, 4001],
      ['changes ports', { nat: 'port-changing' }, 20_385]
    ] as const)('expose has the UDP mapping of a full cone verified that %s', async (_, plan, external) => {
      const topology = withRouter('full-cone', plan)
      const stunServers = ['alpha', 'bravo']
      const { verdict, addresses } = await told(topology, 'udp', { port: 4001, ladder: stunThenWitnesses, stunServers })
      expect([verdict, addresses]).toEqual(['public', [`/ip4/11.0.0.2/udp/${external}`]])
    })

    it.each([
      ['symmetric', {}],
      ['no-daemon', {}],
      ['no-daemon', { filtering: 'address-dependent' }]
    ] as const)('expose announces no UDP mapping in the topology %s with %j', async (name, plan) => {
      const stunServers = ['alpha', 'bravo']
      const { verdict, addresses, candidates } = await told(withRouter(name, plan), 'udp', {
        port: 4001,
        ladder: stunThenWitnesses,
        stunServers
      })
      expect([verdict, addresses]).toEqual(['private', []])
      expect(candidates.every(({ type, state }) => type === 'observed' && state !== 'verified')).toBe(true)
    })

    it('a manual forward of a port alone is verified at the address that the witnesses see', async () => {
      const ladder = 'manual:5001,witness:21.0.0.1:4003,witness:31.0.0.1:4003'
      const topology = withRouter('forwarded', {
        portForwards: [{ externalPort: 5001, address: '192.168.1.2', internalPort: 4001 }]
      })
      const { verdict, addresses } = await told(topology, 'tcp', { port: 4001, ladder })
      expect([verdict, addresses]).toEqual(['public', ['/ip4/11.0.0.2/tcp/5001']])
    })

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
