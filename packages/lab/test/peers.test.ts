import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, Topology, TopologyName } from '../src/index.js'
import { canRunLab, openLab, topologies, withPeers } from '../src/index.js'
import { lowTtl, natPmpMap, pcpMap, serve, sourcePorts, visit } from './support/programs.js'

const names = ['alpha', 'bravo', 'charlie', 'outsider'] as const

describe('withPeers', () => {
  it.each(topologies)(
    'withPeers adds four public hosts to the internet of $name and changes only routes of other hosts',
    (plain) => {
      const peopled = withPeers(plain)
      expect(Object.keys(peopled.hosts)).toEqual([...Object.keys(plain.hosts), ...names])
      for (const [name, host] of Object.entries(plain.hosts)) {
        expect(peopled.hosts[name]).toMatchObject({ ...host, routes: expect.arrayContaining([...host.routes]) })
      }
      expect(peopled.hosts['home']).toBe(plain.hosts['home'])
    }
  )

  it('withPeers throws for unknown names and for topologies without an internet', () => {
    expect(() => withPeers('castle' as TopologyName)).toThrow('home-upnp')
    expect(() => withPeers({ name: 'own', description: '', hosts: {} })).toThrow('own has no host internet')
  })
})

const support = await canRunLab()

describe.skipIf(!support.ok)(`peers${support.ok ? '' : ` (skipped: ${support.reason})`}`, { timeout: 15_000 }, () => {
  const open: Lab[] = []
  const enter = async (topology: TopologyName | Topology): Promise<Lab> => {
    const lab = await openLab(topology)
    open.push(lab)
    return lab
  }
  afterEach(async () => {
    await Promise.all(open.splice(0).map((lab) => lab.close()))
  })

  it('peers see the address of the router for a home, and reach each other', async () => {
    const lab = await enter(withPeers('home'))
    await Promise.all(['alpha', 'outsider', 'internet'].map((host) => serve(lab, host, 80)))
    expect(lab.address('alpha')).toBe('21.0.0.1')
    expect(await visit(lab, 'home', 'http://21.0.0.1/')).toBe('from alpha, to 11.0.0.2')
    expect(await visit(lab, 'home', 'http://51.0.0.1/')).toBe('from outsider, to 11.0.0.2')
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.2')
    expect(await visit(lab, 'bravo', 'http://21.0.0.1/')).toBe('from alpha, to 31.0.0.1')
    expect(await visit(lab, 'alpha', 'http://11.0.0.1/')).toBe('from internet, to 21.0.0.1')
  })

  it('peers reach a home through a mapping only', async () => {
    const lab = await enter(withPeers('home'))
    await serve(lab, 'home', 4000)
    expect(await visit(lab, 'alpha', 'http://11.0.0.2:4000/')).toBe('TIMEOUT')
    await natPmpMap(lab, 4000)
    for (const host of ['alpha', 'outsider'] as const) {
      expect(await visit(lab, host, 'http://11.0.0.2:4000/')).toBe(`from home, to ${lab.address(host)}`)
    }
  })

  it('peers observe the ports of the NAT: one port for all destinations, or one for each', async () => {
    const [kept, symmetric] = await Promise.all([enter(withPeers('no-daemon')), enter(withPeers('symmetric'))])
    expect(await sourcePorts(kept, 'home', 'alpha')).toEqual([6000, 6000])
    const [one, two] = await sourcePorts(symmetric, 'home', 'alpha')
    expect(one).not.toBe(two)
  })

  it('peers are beyond the first hop, and the address of the router is not', async () => {
    const lab = await enter(withPeers('home'))
    expect(await lowTtl(lab, lab.address('router', 'wan'))).toBe('ECONNREFUSED')
    expect(await lowTtl(lab, lab.address('alpha'))).toBe(2)
  })

  it('peers and a home behind two NATs reach each other as behind one NAT', async () => {
    const lab = await enter(withPeers('double-nat'))
    await serve(lab, 'bravo', 80)
    expect(await visit(lab, 'home', 'http://31.0.0.1/')).toBe('from bravo, to 11.0.0.2')
    expect(await lowTtl(lab, '11.0.0.2')).toBe(2)
  })

  it('peers reach a router at its new address', async () => {
    const lab = await enter(withPeers('home'))
    await Promise.all([serve(lab, 'home', 4000), serve(lab, 'alpha', 80)])
    await lab.changeWanAddress('router', '12.9.8.7')
    await natPmpMap(lab, 4000)
    expect(await visit(lab, 'alpha', 'http://12.9.8.7:4000/')).toBe('from home, to 21.0.0.1')
    expect(await visit(lab, 'home', 'http://21.0.0.1/')).toBe('from alpha, to 12.9.8.7')
  })

  it('peers have IPv6 if the internet has it, and connect to a home through a pinhole only', async () => {
    const lab = await enter(withPeers('ipv6-firewall'))
    await Promise.all([serve(lab, 'home', 4000, '::'), serve(lab, 'alpha', 80, '::')])
    const page = `http://[${lab.address6('home')}]:4000/`
    expect(await visit(lab, 'home', 'http://[2a21::1]/')).toBe('from alpha, to 2a00:1::2')
    expect(await visit(lab, 'outsider', 'http://[2a21::1]/')).toBe('from alpha, to 2a51::1')
    expect(await visit(lab, 'bravo', page)).toBe('TIMEOUT')
    expect(await pcpMap(lab, 'fe80::1%eth0', 'tcp', 4000)).toMatchObject({ result: 0 })
    expect(await visit(lab, 'bravo', page)).toBe('from home, to 2a31::1')
  })

  it('two-homes: the other home and the peers reach each home through its own router', async () => {
    const lab = await enter(withPeers('two-homes'))
    await Promise.all([serve(lab, 'home', 4000), serve(lab, 'home2', 4000)])
    expect(await visit(lab, 'home', 'http://12.0.0.2:4000/')).toBe('TIMEOUT')
    expect(await natPmpMap(lab, 4000)).toContain('Mapped')
    expect(await natPmpMap(lab, 4000, '192.168.2.1', 'home2')).toContain('Mapped')
    expect(await visit(lab, 'home', 'http://12.0.0.2:4000/')).toBe('from home2, to 11.0.0.2')
    expect(await visit(lab, 'home2', 'http://11.0.0.2:4000/')).toBe('from home, to 12.0.0.2')
    expect(await visit(lab, 'charlie', 'http://12.0.0.2:4000/')).toBe('from home2, to 41.0.0.1')
    expect(await lab.rules('router2')).toHaveLength(1)
  })
})
