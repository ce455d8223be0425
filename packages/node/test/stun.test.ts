import { once } from 'node:events'
import { join } from 'node:path'
import type { Report } from '@postern/core'
import { canRunLab, openLab, type TopologyName, withStun } from '@postern/lab'
import { describe, expect, it } from 'vitest'

const support = await canRunLab()
const program = join(import.meta.dirname, 'support', 'observed.mjs')

type Told = Pick<Report, 'verdict' | 'nat' | 'candidates' | 'externalAddresses' | 'advice'> & {
  readonly lines: Report['strategies']
  readonly left: number
}

/** A STUN server that always reports 66.6.6.6. */
const liar = `
  const socket = require('node:dgram').createSocket('udp4')
  socket.on('message', (request, { port, address }) => {
    const head = Buffer.from([1, 1, 0, 12, ...request.subarray(4, 20)])
    const seen = Buffer.from([0, 0x20, 0, 8, 0, 1, 0x21, 0x12 ^ 1, 0x21 ^ 66, 0x12 ^ 6, 0xa4 ^ 6, 0x42 ^ 6])
    socket.send(Buffer.concat([head, seen]), port, address)
  })
  socket.bind(3478, () => console.log('bound'))`

/** A server that never answers. */
const mute = `require('node:dgram').createSocket('udp4').bind(3478, () => console.log('bound'))`

async function told(
  topology: TopologyName,
  protocol: 'udp' | 'tcp',
  ladder: string,
  servers: Readonly<Record<string, string>> = {}
): Promise<Told> {
  await using lab = await openLab(withStun(topology))
  for (const [host, text] of Object.entries(servers)) {
    const { stdout } = lab.spawn(host, [process.execPath, '-e', text], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (stdout !== null) await once(stdout, 'data')
  }
  const command = [process.execPath, program, protocol, ladder]
  const { stdout, stderr } = await lab.run('home', command, { timeoutMs: 25_000 })
  if (stdout.trim() === '') throw new Error(`nothing was said: ${stderr}`)
  return JSON.parse(stdout) as Told
}

describe.skipIf(!support.ok)(
  `expose() with stun${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 30_000 },
  () => {
    it('expose with STUN uses the socket of the program, and removes its listeners', async () => {
      const { nat, candidates, externalAddresses, verdict, left } = await told('no-daemon', 'udp', 'stun:21.0.0.1')
      const filtering = 'address-and-port-dependent'
      expect(nat).toEqual({ mapping: 'endpoint-independent', filtering, hairpin: 'fails' })
      expect(candidates).toMatchObject([
        {
          address: '/ip4/11.0.0.2/udp/6000',
          type: 'observed',
          state: 'claimed',
          endpoint: { protocol: 'udp', address: '192.168.1.2', port: 6000 }
        }
      ])
      expect([verdict, externalAddresses, left]).toEqual(['private', [], 0])
    })

    it('expose with STUN opens a separate socket for a TCP server, with another port', async () => {
      const { nat, candidates } = await told('no-daemon', 'tcp', 'stun:21.0.0.1')
      expect([nat?.mapping, candidates]).toEqual(['endpoint-independent', []])
    })

    it('expose with two plain STUN servers reports a symmetric NAT', async () => {
      const { nat, advice } = await told('symmetric', 'udp', 'stun:21.0.0.1,stun:31.0.0.1:3478')
      expect(nat?.mapping).toBe('address-and-port-dependent')
      expect(advice.join(' ')).toContain('hole punching does not get through')
    })

    it('expose with STUN reports nothing about the NAT if UDP is blocked', async () => {
      const { nat, advice, lines } = await told('udp-blocked', 'udp', 'stun:21.0.0.1')
      expect(nat).toBe(null)
      expect(advice.join(' ')).toContain('blocks UDP')
      expect(lines).toMatchObject([{ name: 'stun', kind: 'observer', state: 'failed', reason: { code: 'NO_REPLY' } }])
    })

    it('expose with STUN is not misled by a lying server or delayed by a silent one, and names the liar', async () => {
      const servers = { charlie: liar, outsider: mute }
      const ladder = 'stun:21.0.0.1,stun:41.0.0.1,stun:31.0.0.1'
      const { nat, verdict, lines, candidates } = await told('home', 'udp', `any,${ladder}`, servers)
      expect([verdict, nat?.mapping]).toEqual(['public', 'endpoint-independent'])
      expect(lines.at(-1)?.reason).toMatchObject({
        code: 'OBSERVERS_DISAGREE',
        message: expect.stringContaining('41.0.0.1:3478 sees /ip4/66.6.6.6/udp/1')
      })
      expect(candidates.find(({ address }) => address.includes('66.6.6.6'))?.state).toBe('claimed')
      const alone = await told('home', 'udp', 'any,stun:41.0.0.1,stun:51.0.0.1', servers)
      expect([alone.verdict, alone.nat?.mapping, alone.externalAddresses]).toEqual([
        'public',
        null,
        ['/ip4/11.0.0.2/udp/6000']
      ])
    })

    it('expose with STUN does not change the result of a mapping', async () => {
      const { verdict, nat, externalAddresses } = await told('home', 'tcp', 'any,stun:21.0.0.1')
      expect([verdict, nat?.mapping, externalAddresses]).toEqual([
        'public',
        'endpoint-independent',
        ['/ip4/11.0.0.2/tcp/6000']
      ])
    })
  }
)
