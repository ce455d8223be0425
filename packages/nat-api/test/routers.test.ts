import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { canRunLab, type Lab, openLab, type TopologyName } from '@postern/lab'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NatAPIOptions } from '../src/index.js'
import { startClient } from './support/program.js'

const support = await canRunLab()
let state = ''
beforeAll(() => (state = mkdtempSync(join(tmpdir(), 'postern-'))))
afterAll(() => rmSync(state, { recursive: true, force: true }))

const rulesOf = async (lab: Lab): Promise<readonly string[]> =>
  (await lab.rules()).map((rule) => `${rule.protocol} ${rule.externalPort} → ${rule.internalPort}`).toSorted()

/** Fetches the page of the server at home from outside. */
async function fetchPage(lab: Lab, port: number): Promise<string> {
  const visitor = `fetch('http://11.0.0.2:${port}/', { signal: AbortSignal.timeout(2000) }).then(
    async (reply) => console.log(await reply.text()), () => console.log('nothing'))`
  const { stdout } = await lab.run('internet', [process.execPath, '-e', visitor])
  return stdout.trim()
}

const both: NatAPIOptions = {}
const onlyPmp: NatAPIOptions = { enableUPNP: false }
const onlyUpnp: NatAPIOptions = { enablePMP: false }

describe.skipIf(!support.ok)(
  `real routers${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 60_000 },
  () => {
    it.each<[TopologyName, NatAPIOptions]>([
      ['home', both],
      ['home-pcp', both],
      ['home-pcp', onlyPmp],
      ['home-nat-pmp', both],
      ['home-nat-pmp', onlyPmp],
      ['home-igd1', both],
      ['home-igd1', onlyUpnp],
      ['home-upnp', { ...onlyUpnp, enableUPNP: 'permanent' }]
    ])('behind %s with %j a port is reached from outside until it is unmapped', async (topology, options) => {
      await using lab = await openLab(topology)
      const client = startClient(lab, options, state)
      expect(await client.call('map', { publicPort: 8000, privatePort: 2000, protocol: 'TCP', ttl: 1800 })).toBe(true)
      expect(await client.call('map', 3000)).toBe(true)
      expect(await rulesOf(lab)).toEqual(['tcp 3000 → 3000', 'tcp 8000 → 2000', 'udp 3000 → 3000'])
      expect(await fetchPage(lab, 8000)).toBe('from ::ffff:11.0.0.1')
      expect(await client.call('externalIp')).toBe('11.0.0.2')
      expect(await client.call('unmap', 8000)).toBe(true)
      expect(await rulesOf(lab)).toEqual(['tcp 3000 → 3000', 'udp 3000 → 3000'])
      expect(await client.call('destroy')).toBe(true)
      expect(await rulesOf(lab)).toEqual([])
      // Nothing keeps the process alive any more.
      expect(await client.ended()).toBe(0)
    })

    it.each<[TopologyName, NatAPIOptions]>([
      ['home-igd1', onlyPmp],
      ['home-nat-pmp', onlyUpnp],
      ['silent', both],
      ['no-daemon', both],
      ['double-nat', both],
      ['double-nat-upnp', both],
      ['double-nat-refused', both],
      ['triple-nat', both],
      ['carrier-nat', both],
      ['lying', both],
      ['vpn-default-route', both],
      ['container-bridge', both]
    ])('behind %s with %j nothing is claimed, and destroy() is quick', async (topology, options) => {
      await using lab = await openLab(topology)
      const client = startClient(lab, options, state)
      expect(await client.call('map', 2000)).toBe(false)
      expect(await client.call('externalIp')).toBe('')
      expect(await client.call('destroy')).toBe(true)
      expect(await rulesOf(lab)).toEqual([])
      expect(await client.ended()).toBe(0)
    })

    it.each<TopologyName>(['home-pcp', 'home-nat-pmp', 'home-igd1'])(
      'behind %s a port of another host is a failure, and stays that of the other host',
      async (topology) => {
        await using lab = await openLab(topology)
        const other = startClient(lab, both, join(state, 'other'), 'neighbour')
        expect(await other.call('map', 8000, 2000)).toBe(true)
        const rules = await lab.rules()
        const client = startClient(lab, both, state)
        expect(await client.call('map', 8000, 2000)).toBe(false)
        expect(await lab.rules()).toEqual(rules)
        expect(await client.call('map', 8001, 2000)).toBe(true)
        expect(await client.call('destroy')).toBe(true)
        expect(await lab.rules()).toEqual(rules)
        expect(await other.call('destroy')).toBe(true)
        expect([await client.ended(), await other.ended()]).toEqual([0, 0])
      }
    )

    it('behind two routers in a row a port is mapped on both, also after the first pass', async () => {
      await using lab = await openLab('double-nat-mapped')
      const client = startClient(lab, both, state)
      expect(await client.call('map', 3000)).toBe(true)
      await delay(1500)
      expect(await client.call('map', { publicPort: 8000, privatePort: 2000, protocol: 'TCP' })).toBe(true)
      expect(await fetchPage(lab, 8000)).toContain('from')
      expect(await client.call('externalIp')).toBe('11.0.0.2')
      expect(await client.call('unmap', 8000)).toBe(true)
      for (const router of ['router', 'outer']) {
        const ports = (await lab.rules(router)).map(({ externalPort }) => externalPort)
        expect(ports).toEqual([3000, 3000])
      }
      expect(await client.call('destroy')).toBe(true)
      for (const router of ['router', 'outer']) expect(await lab.rules(router)).toEqual([])
      expect(await client.ended()).toBe(0)
    })

    it('a mapping comes back after the router has restarted', async () => {
      await using lab = await openLab('home')
      const client = startClient(lab, both, state)
      expect(await client.call('map', 8000, 2000)).toBe(true)
      await lab.reboot()
      await expect.poll(() => fetchPage(lab, 8000), { timeout: 30_000 }).toContain('from')
      expect(await client.call('destroy')).toBe(true)
      expect(await client.ended()).toBe(0)
    })

    it('a program that was killed finds its mapping again', async () => {
      await using lab = await openLab('home-pcp')
      const first = startClient(lab, both, state)
      expect(await first.call('map', { publicPort: 8000, privatePort: 2000, protocol: 'TCP' })).toBe(true)
      await first.kill()
      // PCP grants the port of another run only to the run that has its nonce.
      const second = startClient(lab, both, state)
      expect(await second.call('map', { publicPort: 8000, privatePort: 2000, protocol: 'TCP' })).toBe(true)
      expect(await second.call('destroy')).toBe(true)
      expect(await rulesOf(lab)).toEqual([])
      expect(await second.ended()).toBe(0)
    })

    it('a program that runs twice shares the mapping, and the last one deletes it', async () => {
      await using lab = await openLab('home')
      const [first, second] = [startClient(lab, both, state), startClient(lab, both, state)]
      expect(await first.call('map', 2000)).toBe(true)
      expect(await second.call('map', 2000)).toBe(true)
      expect(await first.call('unmap', 2000)).toBe(true)
      // If the second one had not announced itself yet, it hears that the first one has left, and maps the port again.
      await expect.poll(() => rulesOf(lab), { timeout: 15_000 }).toEqual(['tcp 2000 → 2000', 'udp 2000 → 2000'])
      expect(await first.call('destroy')).toBe(true)
      expect(await fetchPage(lab, 2000)).toContain('from')
      expect(await second.call('destroy')).toBe(true)
      expect(await rulesOf(lab)).toEqual([])
      expect([await first.ended(), await second.ended()]).toEqual([0, 0])
    })
  }
)
