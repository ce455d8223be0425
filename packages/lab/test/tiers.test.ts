import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, Tier, TiersOptions } from '../src/index.js'
import { betweenTiers, canDelay, canRunLab, findTiers, openLab, tiers, withPeers } from '../src/index.js'
import { meet } from './support/datagrams.js'
import { datagramReturns, natPmpMap, serve, sourcePorts, visit } from './support/programs.js'
import { connectMs } from './support/streams.js'

describe('tiers', () => {
  it('findTiers finds exactly the names of pairs', () => {
    expect(findTiers('home-and-carrier')).toEqual(betweenTiers('home', 'carrier'))
    for (const name of ['home', 'home-and-castle', 'home-and-', 'home-and-home-and-home']) {
      expect(findTiers(name)).toBeUndefined()
    }
  })

  it('betweenTiers applies the options to every NAT of a home, and the mapping service to the LAN router only', () => {
    const mapping = { upnp: false, natPmp: true, pcp: true } as const
    const all = {
      wanInput: 'icmp',
      filtering: 'endpoint-independent',
      mappingLifetimeMs: 5000,
      hairpin: true,
      forwards: 'tcp'
    } as const
    const { hosts } = betweenTiers('carrier', 'home', { home: { ...all, mapping } })
    expect(hosts['router']?.router).toMatchObject({ ...all, mapping })
    expect(hosts['isp']?.router).toMatchObject({ ...all, mapping: 'refused' })
    expect(hosts['router2']?.router).toMatchObject({ wanInput: 'drop', mapping: 'refused' })
  })
})

const support = await canRunLab()
const delays = await canDelay()

describe.skipIf(!support.ok)(
  `homes on tiers${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    const open: Lab[] = []
    const enter = async (one: Tier, other: Tier, options?: TiersOptions): Promise<Lab> => {
      const lab = await openLab(withPeers(betweenTiers(one, other, options)))
      open.push(lab)
      return lab
    }
    afterEach(async () => {
      await Promise.all(open.splice(0).map((lab) => lab.close()))
    })
    const pairs = tiers.flatMap((one) => tiers.map((other) => [one, other] as const))

    it.each(pairs)(
      '%s and %s: both reach the peers, and the first reaches the second only if that is open',
      async (one, other) => {
        const lab = await enter(one, other)
        await Promise.all([serve(lab, 'alpha', 80), serve(lab, 'home2', 80)])
        expect(
          await Promise.all([
            visit(lab, 'home', 'http://21.0.0.1/'),
            visit(lab, 'home2', 'http://21.0.0.1/'),
            visit(lab, 'home', 'http://12.0.0.2/')
          ])
        ).toEqual([
          'from alpha, to 11.0.0.2',
          'from alpha, to 12.0.0.2',
          other === 'open' ? 'from home2, to 11.0.0.2' : 'TIMEOUT'
        ])
      }
    )

    it.each(tiers)('%s keeps the port of a socket for all destinations unless it is symmetric', async (tier) => {
      const lab = await enter(tier, 'open')
      const [one, two] = await sourcePorts(lab, 'home', 'alpha')
      if (tier === 'symmetric') expect(one).not.toBe(two)
      else expect([one, two]).toEqual([6000, 6000])
    })

    it.each([
      ['home', 'home', true],
      ['home', 'carrier', true],
      ['carrier', 'carrier', true],
      ['open', 'symmetric', true],
      ['home', 'symmetric', false],
      ['symmetric', 'symmetric', false]
    ] as const)('%s and %s: simultaneous datagrams in both directions arrive: %s', async (one, other, through) => {
      const lab = await enter(one, other)
      expect(await meet(lab, { home: '12.0.0.2', home2: '11.0.0.2' })).toBe(through)
    })

    it('a mapping makes a home reachable, and is not granted behind a carrier NAT', async () => {
      const mapping = { upnp: 'igd2', natPmp: true, pcp: true } as const
      const lab = await enter('home', 'carrier', { home: { mapping }, home2: { mapping } })
      await serve(lab, 'home', 4000)
      expect(await natPmpMap(lab, 4000)).toContain('Mapped')
      expect(await visit(lab, 'home2', 'http://11.0.0.2:4000/')).toBe('from home, to 12.0.0.2')
      expect(await natPmpMap(lab, 4000, '192.168.2.1', 'home2')).toContain('FAILED')
    })

    it.each(tiers.slice(1))('%s with blocked UDP forwards TCP but no datagrams', async (tier) => {
      const lab = await enter(tier, 'open', { home: { forwards: 'tcp' } })
      await serve(lab, 'alpha', 80)
      expect(await visit(lab, 'home', 'http://21.0.0.1/')).toBe('from alpha, to 11.0.0.2')
      expect(await datagramReturns(lab, 'home', 'alpha')).toBe(false)
      expect(await datagramReturns(lab, 'home2', 'alpha')).toBe(true)
    })

    it.skipIf(!delays.ok)(`delays of both homes add up${delays.ok ? '' : ` (skipped: ${delays.reason})`}`, async () => {
      const lab = await enter('carrier', 'open', { home: { delayMs: 10 }, home2: { delayMs: 15 } })
      await Promise.all([serve(lab, 'home2', 80), serve(lab, 'alpha', 80)])
      expect(await connectMs(lab, 'home', '21.0.0.1', 80)).toBeGreaterThanOrEqual(20)
      expect(await connectMs(lab, 'home2', '21.0.0.1', 80)).toBeGreaterThanOrEqual(30)
      expect(await connectMs(lab, 'home', '12.0.0.2', 80)).toBeGreaterThanOrEqual(50)
    })
  }
)
