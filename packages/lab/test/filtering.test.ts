import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, Topology } from '../src/index.js'
import { canRunLab, openLab, withPeers, withRouter } from '../src/index.js'
import { comesIn, hearsItself } from './support/datagrams.js'
import { natPmpMap, serve, visit } from './support/programs.js'

const support = await canRunLab()

describe.skipIf(!support.ok)(
  `filtering and hairpin${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    const open: Lab[] = []
    const enter = async (topology: Topology): Promise<Lab> => {
      const lab = await openLab(topology)
      open.push(lab)
      return lab
    }
    afterEach(async () => {
      await Promise.all(open.splice(0).map((lab) => lab.close()))
    })

    const kinds = [
      { filtering: 'endpoint-independent', comes: ['other port', 'other address', 'last'] },
      { filtering: 'address-dependent', comes: ['other port', 'last'] },
      { filtering: 'address-and-port-dependent', comes: ['last'] }
    ] as const
    const everywhere = kinds.flatMap((kind) =>
      (['no-daemon', 'symmetric', 'home-reject'] as const).map((name) => ({ name, ...kind }))
    )

    it.each(everywhere)('$name with $filtering filtering admits: $comes', async ({ name, filtering, comes }) => {
      const lab = await enter(withPeers(withRouter(name, { filtering })))
      expect(await comesIn(lab)).toEqual(comes)
    })

    it('a router forgets the admitted endpoints when it restarts', async () => {
      const lab = await enter(withPeers(withRouter('home', { filtering: 'endpoint-independent' })))
      await comesIn(lab)
      const noted = async (): Promise<string> =>
        (await lab.run('router', ['nft', 'list', 'map', 'inet', 'router', 'noted'])).stdout
      expect(await noted()).toContain('6000')
      await lab.reboot()
      expect(await noted()).not.toContain('6000')
    })

    it('a router with hairpin handles packets of the LAN as if from outside, and other routers do not', async () => {
      const [plain, hairpin] = await Promise.all([
        enter(withPeers('home')),
        enter(withPeers(withRouter('home', { hairpin: true })))
      ])
      expect(await hearsItself(plain, 'me')).toBe('TIMEOUT')
      expect(await hearsItself(hairpin, 'me')).toBe('me from 11.0.0.2:6001')
      for (const lab of [plain, hairpin]) {
        await serve(lab, 'home', 4000)
        expect(await natPmpMap(lab, 4000)).toContain('Mapped')
      }
      const page = 'http://11.0.0.2:4000/'
      expect(await visit(plain, 'neighbour', page)).toBe('ECONNREFUSED')
      expect(await visit(hairpin, 'neighbour', page)).toBe('from home, to 11.0.0.2')
      expect(await visit(hairpin, 'home', page)).toBe('from home, to 11.0.0.2')
      expect(await visit(hairpin, 'home', 'http://11.0.0.2:4001/')).toBe('TIMEOUT')
      expect(await visit(hairpin, 'alpha', page)).toBe('from home, to 21.0.0.1')
    })

    it('hairpin works at a changed address, and after the link was down', async () => {
      const lab = await enter(withPeers(withRouter('home', { hairpin: true })))
      await lab.changeWanAddress('router', '11.0.0.77')
      await lab.linkDown('router', 'wan')
      await lab.linkUp('router', 'wan')
      expect(await hearsItself(lab, 'me')).toBe('me from 11.0.0.77:6001')
    })
  }
)
