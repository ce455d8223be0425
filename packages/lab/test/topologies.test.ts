import { describe, expect, it } from 'vitest'
import { draw } from '../src/draw.js'
import { makeFacts } from '../src/facts.js'
import { withStun } from '../src/peers.js'
import { setupScript } from '../src/setup-script.js'
import { betweenTiers } from '../src/tiers.js'
import { findTopology, topologies } from '../src/topologies.js'
import type { Topology } from '../src/topology.js'
import { withRouter } from '../src/with-router.js'

describe('topologies', () => {
  it('the topologies have distinct names and one-line descriptions', () => {
    expect(new Set(topologies.map(({ name }) => name)).size).toBe(topologies.length)
    for (const { description } of topologies) expect(description).toMatch(/^[^\n]{20,110}\.$/)
  })

  it('each topology has a home and an internet, and is found by name', () => {
    for (const topology of topologies) {
      expect(Object.keys(topology.hosts)).toEqual(expect.arrayContaining(['home', 'internet']))
      expect(findTopology(topology.name)).toBe(topology)
    }
    expect(findTopology('castle')).toBeUndefined()
  })

  it.each(topologies.map(({ name, hosts }) => ({ name, hosts })))(
    '$name has distinct addresses on each network, and routes only over existing links',
    ({ hosts }) => {
      const seen = new Set<string>()
      for (const { links, routes, router } of Object.values(hosts)) {
        const names = links.map((link) => link.name)
        for (const { name, network, addresses } of links) {
          expect(name.length).toBeLessThanOrEqual(15)
          for (const address of addresses) {
            expect(seen).not.toContain(`${network} ${address}`)
            seen.add(`${network} ${address}`)
          }
        }
        for (const route of routes) expect(names).toContain(route.link)
        if (router !== undefined) expect(names).toEqual(expect.arrayContaining([router.lan, router.wan]))
      }
    }
  )

  it('draw shows every host and address', () => {
    const picture = draw(findTopology('carrier-nat') as Topology)
    for (const text of ['home', 'isp', '100.64.0.2/24', 'NAT-PMP', '11.0.0.1/24']) expect(picture).toContain(text)
  })

  it('draw shows the properties of NATs, links and servers', () => {
    const home = { filtering: 'endpoint-independent', hairpin: true, forwards: 'tcp', delayMs: 25 } as const
    const pair = draw(withStun(betweenTiers('home', 'open', { home })))
    for (const text of ['filtering: endpoint-independent, hairpin', 'TCP only', '(25 ms)', 'STUN, with behaviour']) {
      expect(pair).toContain(text)
    }
    expect(draw(withRouter('full-cone', { mappingLifetimeMs: 2000 }))).toContain('UDP mappings end after 2 s')
    expect(draw(findTopology('cloud') as Topology)).toContain('port 4001 to 10.0.0.2')
    expect(draw(findTopology('forwarded') as Topology)).toContain('port 4001 to 192.168.1.2:4001')
    expect(draw(findTopology('dmz') as Topology)).toContain('everything unmapped to 192.168.1.2')
    expect(draw(findTopology('host-firewall') as Topology)).toContain('firewall: lets in TCP port 8080')
    expect(draw(findTopology('two-uplinks') as Topology)).toContain('(not plugged in)')
  })

  it('draw shows translators, DNS servers and portals', () => {
    expect(draw(findTopology('nat64') as Topology)).toContain('DNS, NAT64')
    expect(draw(findTopology('464xlat') as Topology)).toMatch(/home .* CLAT$/m)
    expect(draw(findTopology('captive-portal') as Topology)).toContain('captive portal')
  })

  it('withRouter changes one router, and throws for a host that is none', () => {
    const { hosts } = withRouter('two-gateways', { nat: 'symmetric' }, 'second-router')
    expect([hosts['router']?.router?.nat, hosts['second-router']?.router?.nat]).toEqual([
      'port-preserving',
      'symmetric'
    ])
    expect(() => withRouter('home', {}, 'neighbour')).toThrow('home has no router neighbour')
  })

  it('an invalid topology throws a TypeError that names the invalid part', () => {
    const host = (link: string, address: string): Topology => ({
      name: 'own',
      description: '',
      hosts: { home: { links: [{ name: link, network: 'lan', addresses: [address] }], routes: [] } }
    })
    expect(() => makeFacts(host('eth0; reboot', '10.0.0.1/8'))).toThrow('eth0; reboot')
    expect(() => makeFacts(host('eth0', '10.0.0.1'))).toThrow('10.0.0.1')
    const serving = (more: object): Topology => ({
      ...host('eth0', '10.0.0.1/8'),
      hosts: { home: { links: [], routes: [], ...more } }
    })
    expect(() => makeFacts(serving({ dns: { 'a; reboot': ['10.0.0.1'] } }))).toThrow('a; reboot')
    expect(() => makeFacts(serving({ dns: { a: ['$(reboot)'] } }))).toThrow('$(reboot)')
    const translator = { kind: 'clat', prefix: '64:ff9b::/96', ipv6: 'fd00::1', ipv4: '192.0.0.1', mapped: 'fd00::2' }
    expect(() => makeFacts(serving({ translator }))).not.toThrow()
    for (const [key, value] of Object.entries({ prefix: '64:ff9b::/95', ipv6: 'x', ipv4: 'x', mapped: "'" }))
      expect(() => makeFacts(serving({ translator: { ...translator, [key]: value } }))).toThrow(TypeError)
    expect(() => makeFacts(withRouter('home', { captivePortal: "http://a/'; reboot" }))).toThrow('; reboot')
    expect(() => makeFacts({ ...host('eth0', '10.0.0.1/8'), hosts: { 'a b': { links: [], routes: [] } } })).toThrow(
      'a b'
    )
  })

  it.each([
    { plan: { portForwards: [{ externalPort: 0, address: '192.168.1.2' }] }, part: 'not 0' },
    { plan: { portForwards: [{ externalPort: 1, internalPort: 65_536, address: '192.168.1.2' }] }, part: 'not 65536' },
    { plan: { portForwards: [{ externalPort: 1, address: '192.168.1.2; drop' }] }, part: '192.168.1.2; drop' },
    {
      plan: { portForwards: ['a', 'b'].map(() => ({ externalPort: 7, address: '192.168.1.2' })) },
      part: 'port 7 twice'
    },
    { plan: { exposedHost: { address: '2a00::1' } }, part: '2a00::1' },
    { plan: { exposedHost: { address: '192.168.1.2', ports: [] } }, part: 'at least one port' },
    { plan: { exposedHost: { address: '192.168.1.2', ports: [1.5] } }, part: 'not 1.5' },
    { plan: { mappingLifetimeMs: 500 }, part: 'not 500' },
    { plan: { mappingLifetimeMs: 1500 }, part: 'not 1500' },
    { plan: { mappingLifetimeMs: Number.NaN }, part: 'not NaN' }
  ])('an invalid router throws a TypeError that tells $part', ({ plan, part }) => {
    const make = (): unknown => makeFacts(withRouter('no-daemon', plan))
    expect(make).toThrow(TypeError)
    expect(make).toThrow(part)
  })

  it('setupScript closes all nested heredocs', () => {
    for (const topology of topologies) {
      const routers = [...makeFacts(topology).routers.values()].map((router) => router.files())
      const script = setupScript(topology, routers, false)
      const begun = [...script.matchAll(/<< '(END\d+)'/g)].length
      expect([...script.matchAll(/^END\d+$/gm)].length).toBe(begun)
    }
  })
})
