import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canRunLab, openLab, type Rule, withPeers, withRouter } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { exposeAtHome, fromInternet } from './support/exposed.js'

const support = await canRunLab()
const witnessServer = join(import.meta.dirname, 'support', 'witness-server.mjs')

const atInner: Rule = {
  family: 4,
  protocol: 'tcp',
  externalPort: 5001,
  internalAddress: '192.168.1.2',
  internalPort: 5001
}
const atOuter: Rule = { ...atInner, internalAddress: '192.168.0.2' }

describe.skipIf(!support.ok)(
  `two routers in a row${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 60_000 },
  () => {
    it.each(['pcp', 'nat-pmp', 'upnp', 'any', 'upnp,pcp', 'nat-pmp:192.168.1.1'])(
      'a server is reached through both by %s, and release leaves no rule in either',
      async (ladder) => {
        await using lab = await openLab('double-nat-mapped')
        const server = await exposeAtHome(lab, ladder)
        expect(await lab.rules('router')).toEqual([atInner])
        expect(await lab.rules('outer')).toEqual([atOuter])
        // The server sees the true address of the client.
        expect(await fromInternet(lab, 5001)).toBe('11.0.0.1')
        const { report, addresses } = await server.report()
        expect([report.verdict, report.cause, addresses]).toEqual(['public', 'unverified', ['/ip4/11.0.0.2/tcp/5001']])
        const endpoint = { protocol: 'tcp', address: '192.168.1.2', port: 5001 }
        expect(report.candidates).toMatchObject([
          { address: '/ip4/192.168.0.2/tcp/5001', state: 'claimed', endpoint },
          {
            address: '/ip4/11.0.0.2/tcp/5001',
            type: 'mapped',
            state: 'consistent',
            endpoint,
            through: '/ip4/192.168.0.2/tcp/5001'
          }
        ])
        const levels = report.strategies.filter(({ state }) => state === 'active')
        expect(levels.map(({ gateway, through }) => [gateway, through])).toEqual([
          [undefined, undefined],
          ['192.168.0.1', '192.168.1.1']
        ])
        await server.close()
        expect([await lab.rules('router'), await lab.rules('outer')]).toEqual([[], []])
      }
    )

    it('a UDP socket is reached through both', async () => {
      await using lab = await openLab('double-nat-mapped')
      const server = await exposeAtHome(lab, 'nat-pmp', { protocol: 'udp' })
      expect(await fromInternet(lab, 5001, 'udp')).toBe('11.0.0.1')
      await server.close()
    })

    it('the outer router maps the port that the inner one granted, also for two hosts behind it', async () => {
      await using lab = await openLab('double-nat-mapped')
      // Another host has the port at the inner router, and one at the outer router has the next.
      await lab.run('neighbour', ['natpmpc', '-g', '192.168.1.1', '-a', '5001', '5001', 'tcp', '600'])
      const server = await exposeAtHome(lab, 'nat-pmp')
      const [, inner] = await lab.rules('router')
      expect(inner).toMatchObject({ internalAddress: '192.168.1.2', internalPort: 5001 })
      const port = inner?.externalPort ?? 0
      expect(port).not.toBe(5001)
      expect(await lab.rules('outer')).toMatchObject([{ internalAddress: '192.168.0.2', internalPort: port }])
      expect(await fromInternet(lab, (await lab.rules('outer'))[0]?.externalPort ?? 0)).toBe('11.0.0.1')
      await server.close()
      expect(await lab.rules('outer')).toEqual([])
    })

    it.each(['pcp', 'nat-pmp', 'upnp'])('either router may reboot with %s', async (ladder) => {
      await using lab = await openLab('double-nat-mapped')
      const server = await exposeAtHome(lab, ladder)
      await lab.reboot('router')
      await expect.poll(() => lab.rules('router'), { timeout: 20_000 }).toEqual([atInner])
      expect(await fromInternet(lab, 5001)).toBe('11.0.0.1')
      await lab.reboot('outer')
      // Its announcements do not come through: it is polled.
      await expect.poll(() => lab.rules('outer'), { timeout: 20_000 }).toEqual([atOuter])
      expect(await fromInternet(lab, 5001)).toBe('11.0.0.1')
      expect(server.told().filter((text) => /^(lost|failed)/.test(text))).toEqual([])
      await server.close()
      expect([await lab.rules('router'), await lab.rules('outer')]).toEqual([[], []])
    })

    it.each(['pcp', 'nat-pmp', 'upnp'])('the inner router may get another external address with %s', async (ladder) => {
      await using lab = await openLab('double-nat-mapped')
      const server = await exposeAtHome(lab, ladder)
      await lab.changeWanAddress('router', '192.168.0.3')
      await lab.reboot('router')
      await server.until(`lost ${ladder} 11.0.0.2:5001`)
      const isNew = (rule: Rule): boolean => rule.internalAddress === '192.168.0.3'
      await expect.poll(async () => (await lab.rules('outer')).filter(isNew), { timeout: 20_000 }).toHaveLength(1)
      const port = (await lab.rules('outer')).find(isNew)?.externalPort ?? 0
      expect(await fromInternet(lab, port)).toBe('11.0.0.1')
      await server.close()
      // No request can delete the old one: it expires.
      expect([await lab.rules('router'), (await lab.rules('outer')).filter(isNew)]).toEqual([[], []])
    })

    it('a killed program leaves what expires, and the next run takes it back', async () => {
      await using lab = await openLab('double-nat-mapped')
      const folder = await mkdtemp(join(tmpdir(), 'postern-two-routers-'))
      try {
        const server = await exposeAtHome(lab, 'pcp', { folder })
        await server.kill()
        expect(await lab.rules('outer')).toEqual([atOuter])
        const again = await exposeAtHome(lab, 'pcp', { folder })
        expect(again.told()).toEqual(['mapped pcp 11.0.0.2:5001'])
        await again.close()
        expect([await lab.rules('router'), await lab.rules('outer')]).toEqual([[], []])
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    })

    it('where the outer router maps nothing, the advice names both routers and what to enter', async () => {
      await using lab = await openLab(withRouter('double-nat-mapped', { mapping: 'refused' }, 'outer'))
      const server = await exposeAtHome(lab, 'any')
      const { report, addresses } = await server.report()
      expect([report.verdict, report.cause, addresses]).toEqual(['private', 'double-nat', []])
      expect(report.advice[0]).toContain('TCP port 5001')
      await server.close()
    })

    it('an inner router that refuses tells its address, and the outer one is asked for nothing', async () => {
      await using lab = await openLab('double-nat-refused')
      const server = await exposeAtHome(lab, 'any')
      const { report } = await server.report()
      expect([report.verdict, report.cause]).toEqual(['private', 'double-nat'])
      expect(await lab.rules('outer')).toEqual([])
      expect(await lab.packets('outer')).toEqual({ natPmpAndPcp: 0, ssdp: 0, control: 0 })
      await server.close()
    })

    it('two of three routers map at most, and the verdict is private', async () => {
      await using lab = await openLab('triple-nat')
      const server = await exposeAtHome(lab, 'any')
      const { report, addresses } = await server.report()
      expect([report.verdict, report.cause, addresses]).toEqual(['private', 'double-nat', []])
      expect(report.candidates.map(({ address, state }) => [address, state])).toEqual([
        ['/ip4/192.168.0.2/tcp/5001', 'claimed'],
        ['/ip4/10.0.0.2/tcp/5001', 'claimed']
      ])
      expect(await lab.packets('outer')).toEqual({ natPmpAndPcp: 0, ssdp: 0, control: 0 })
      await server.close()
      expect([await lab.rules('router'), await lab.rules('middle')]).toEqual([[], []])
    })

    it('witnesses verify the outer address, and the program hears of that', async () => {
      await using lab = await openLab(withPeers('double-nat-mapped'))
      for (const peer of ['alpha', 'bravo']) {
        const { stdout } = lab.spawn(peer, [process.execPath, witnessServer], { stdio: ['ignore', 'pipe', 'inherit'] })
        if (stdout !== null) await once(stdout, 'data')
      }
      const server = await exposeAtHome(lab, 'any,witness:21.0.0.1:4003,witness:31.0.0.1:4003')
      await expect.poll(async () => (await server.report()).report.verdict, { timeout: 20_000 }).toBe('public')
      const { report } = await server.report()
      expect(report.cause).toBe(null)
      // The witnesses may see the outer address before the outer router grants it.
      const inOrder = report.candidates.toSorted((one, other) => one.address.localeCompare(other.address))
      expect(inOrder).toMatchObject([
        { address: '/ip4/11.0.0.2/tcp/5001', state: 'verified', through: '/ip4/192.168.0.2/tcp/5001' },
        { address: '/ip4/192.168.0.2/tcp/5001', state: 'claimed', evidence: [] }
      ])
      await server.close()
    })

    it('a datagram to a router behind the next hop goes no further, whatever the routes say', async () => {
      await using lab = await openLab('double-nat-mapped')
      const listen = `require('node:dgram').createSocket('udp4').on('message', (bytes) => console.log(String(bytes)))
        .bind(5351, () => console.log('listening')); setTimeout(process.exit, 700)`
      const heard = lab.run('internet', [process.execPath, '-e', listen])
      const send = `import { openBeyond, openUdp } from '@postern/net'
        const to = { family: 4, remote: { address: '11.0.0.1', port: 5351 }, onMessage() {}, onError() {} }
        const call = new AbortController()
        await new Promise((resolve) => setTimeout(resolve, 300))
        ;(await openBeyond()(to, call)).send(Buffer.from('at 2'))
        ;(await openUdp(to, call)).send(Buffer.from('at 64'))
        setTimeout(process.exit, 200)`
      await lab.run('home', [process.execPath, '--input-type=module', '-e', send], { cwd: import.meta.dirname })
      expect((await heard).stdout).toBe('listening\nat 64\n')
    })

    it('a next hop that claims another address than its own is no obstacle to NAT-PMP', async () => {
      const claiming = { upnp: 'igd2', natPmp: true, pcp: true, claimedAddress: '12.34.56.78' } as const
      await using lab = await openLab(withRouter('double-nat-refused', { mapping: claiming }))
      const server = await exposeAtHome(lab, 'any')
      await expect.poll(() => lab.rules('outer'), { timeout: 20_000 }).toEqual([atOuter])
      expect(await fromInternet(lab, 5001)).toBe('11.0.0.1')
      expect((await server.report()).addresses).toEqual(['/ip4/11.0.0.2/tcp/5001'])
      await server.close()
      expect([await lab.rules('router'), await lab.rules('outer')]).toEqual([[], []])
    })

    it('a router of which each answer takes a second is no absent one', async () => {
      await using lab = await openLab('double-nat-mapped')
      await lab.delay('outer', 500, { link: 'lan' })
      const server = await exposeAtHome(lab, 'pcp,nat-pmp')
      await expect.poll(() => lab.rules('outer'), { timeout: 20_000 }).toEqual([atOuter])
      await expect.poll(async () => (await server.report()).report.verdict, { timeout: 10_000 }).toBe('public')
      await server.close()
      expect([await lab.rules('router'), await lab.rules('outer')]).toEqual([[], []])
    })

    it('a gateway behind the next hop that the user names maps nothing that counts as reachable', async () => {
      await using lab = await openLab('double-nat-mapped')
      const server = await exposeAtHome(lab, 'nat-pmp:192.168.0.1')
      const { report, addresses } = await server.report()
      expect([report.verdict, report.cause, addresses]).toEqual(['unknown', 'unverified', []])
      expect(report.candidates).toMatchObject([{ address: '/ip4/11.0.0.2/tcp/5001', state: 'claimed' }])
      expect(report.advice).toContainEqual(expect.stringContaining('name no gateway, and both routers are asked'))
      await server.close()
    })
  }
)
