import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, Topology } from '../src/index.js'
import { canRunLab, openLab, withPeers, withRouter } from '../src/index.js'
import { arriving } from './support/open-ports.js'
import { natPmpMap, pcpMap, serve, visit } from './support/programs.js'

const support = await canRunLab()

describe.skipIf(!support.ok)(
  `ports that are opened by hand${support.ok ? '' : ` (skipped: ${support.reason})`}`,
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
    const at5001 = { portForwards: [{ externalPort: 5001, address: '192.168.1.2', internalPort: 4001 }] }
    const at4002 = { exposedHost: { address: '10.0.0.2', ports: [4002] } }

    it.each([
      { title: 'cloud', topology: withRouter('cloud', {}), external: 4001, internal: 4001, closed: [4002, 5001] },
      {
        title: 'cloud with port 4002',
        topology: withRouter('cloud', at4002),
        external: 4002,
        internal: 4002,
        closed: [4001]
      },
      {
        title: 'forwarded',
        topology: withRouter('forwarded', {}),
        external: 4001,
        internal: 4001,
        closed: [4002, 5001]
      },
      {
        title: 'forwarded from 5001',
        topology: withRouter('forwarded', at5001),
        external: 5001,
        internal: 4001,
        closed: [4001]
      }
    ])(
      '$title: public hosts reach $internal at $external over TCP and UDP, and no other port',
      async ({ topology, external, internal, closed }) => {
        const lab = await enter(withPeers(topology))
        const ports = [4001, 4002]
        await Promise.all(ports.map((port) => serve(lab, 'home', port)))
        for (const host of ['alpha', 'bravo', 'outsider']) {
          expect(await visit(lab, host, `http://11.0.0.2:${external}/`)).toBe(`from home, to ${lab.address(host)}`)
        }
        for (const port of closed) expect(await visit(lab, 'charlie', `http://11.0.0.2:${port}/`)).toBe('TIMEOUT')

        const datagrams = [...closed, external].map((port) => `11.0.0.2:${port}`)
        expect(
          await arriving(lab, ports, [
            ...datagrams.map((to) => ['alpha', 'x', to] as const),
            ['outsider', 'last', `11.0.0.2:${external}`]
          ])
        ).toEqual([`x at ${internal} from 21.0.0.1`, `last at ${internal} from 51.0.0.1`])
      }
    )

    it('dmz: public hosts reach every port of the host over TCP and UDP, and a closed one is refused', async () => {
      const lab = await enter(withPeers('dmz'))
      await Promise.all([80, 4001].map((port) => serve(lab, 'home', port)))
      expect(await visit(lab, 'alpha', 'http://11.0.0.2/')).toBe('from home, to 21.0.0.1')
      expect(await visit(lab, 'outsider', 'http://11.0.0.2:4001/')).toBe('from home, to 51.0.0.1')
      expect(await visit(lab, 'bravo', 'http://11.0.0.2:4002/')).toBe('ECONNREFUSED')
      expect(
        await arriving(
          lab,
          [53, 4001],
          [
            ['alpha', 'one', '11.0.0.2:53'],
            ['bravo', 'last', '11.0.0.2:4001']
          ]
        )
      ).toEqual(['one at 53 from 21.0.0.1', 'last at 4001 from 31.0.0.1'])
    })

    it.each(['cloud', 'dmz', 'forwarded', 'full-cone'] as const)(
      '%s: the host reaches the internet, and no mapping service answers',
      async (name) => {
        const lab = await enter(withPeers(name))
        await serve(lab, 'alpha', 80)
        expect(await visit(lab, 'home', 'http://21.0.0.1/')).toBe('from alpha, to 11.0.0.2')
        const answer = name === 'cloud' ? 'TIMEOUT' : 'ECONNREFUSED'
        expect(await pcpMap(lab, lab.address('router'), 'tcp', 4001)).toBe(answer)
        expect(await visit(lab, 'home', `http://${lab.address('router')}:5000/`)).toBe(answer)
        expect(await lab.rules()).toEqual([])
      }
    )

    it('a mapping of the daemon comes before the exposed host', async () => {
      const lab = await enter(withPeers(withRouter('home', { exposedHost: { address: '192.168.1.3' } })))
      await Promise.all(['home', 'neighbour'].map((host) => serve(lab, host, 4000)))
      const page = 'http://11.0.0.2:4000/'
      expect(await visit(lab, 'alpha', page)).toBe('from neighbour, to 21.0.0.1')
      expect(await natPmpMap(lab, 4000)).toContain('Mapped')
      expect(await visit(lab, 'alpha', page)).toBe('from home, to 21.0.0.1')
    })

    it('a port forward comes before the exposed host', async () => {
      const portForwards = [{ externalPort: 5001, address: '192.168.1.2', internalPort: 4001 }]
      const lab = await enter(withPeers(withRouter('dmz', { exposedHost: { address: '192.168.1.3' }, portForwards })))
      await Promise.all([serve(lab, 'home', 4001), serve(lab, 'neighbour', 4001)])
      expect(await visit(lab, 'alpha', 'http://11.0.0.2:5001/')).toBe('from home, to 21.0.0.1')
      expect(await visit(lab, 'alpha', 'http://11.0.0.2:4001/')).toBe('from neighbour, to 21.0.0.1')
    })

    it('an open port stays open at a changed WAN address, and works through a hairpin', async () => {
      const lab = await enter(withPeers(withRouter('forwarded', { hairpin: true })))
      await serve(lab, 'home', 4001)
      expect(await visit(lab, 'neighbour', 'http://11.0.0.2:4001/')).toBe('from home, to 11.0.0.2')
      await lab.changeWanAddress('router', '11.0.0.77')
      expect(await visit(lab, 'alpha', 'http://11.0.0.77:4001/')).toBe('from home, to 21.0.0.1')
    })
  }
)
