import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, Topology, TopologyName } from '../src/index.js'
import { canRunLab, openLab, withRouter } from '../src/index.js'
import {
  datagramError,
  datagramReturns,
  natPmpMap,
  pcpMap,
  serve,
  sourcePorts,
  unreachables,
  upnpMap,
  visit
} from './support/programs.js'

const support = await canRunLab()

describe.skipIf(!support.ok)(`lab${support.ok ? '' : ` (skipped: ${support.reason})`}`, { timeout: 15_000 }, () => {
  const open: Lab[] = []
  const enter = async (name: TopologyName | Topology): Promise<Lab> => {
    const lab = await openLab(name)
    open.push(lab)
    return lab
  }
  afterEach(async () => {
    await Promise.all(open.splice(0).map((lab) => lab.close()))
  })
  const granted = { result: 0 }

  it('home: each protocol maps, and the internet reaches the host through it', async () => {
    const lab = await enter('home')
    await serve(lab, 'home', 4000)
    const page = `http://${lab.address('router', 'wan')}:4000/`
    expect(await visit(lab, 'internet', page)).toBe('TIMEOUT')

    expect(await natPmpMap(lab, 4000)).toContain('Mapped public port 4000')
    expect(await visit(lab, 'internet', page)).toBe('from home, to 11.0.0.1')
    expect(await lab.rules()).toEqual([
      { family: 4, protocol: 'tcp', externalPort: 4000, internalAddress: '192.168.1.2', internalPort: 4000 }
    ])
    expect(await pcpMap(lab, '192.168.1.1', 'udp', 4001)).toMatchObject(granted)
    expect(await upnpMap(lab, 4002)).toContain('is redirected to internal 192.168.1.2:4002')
    expect((await lab.rules()).map((rule) => rule.externalPort)).toEqual([4000, 4001, 4002])
    const packets = await lab.packets()
    expect(packets).toMatchObject({ natPmpAndPcp: 3, ssdp: 0 })
    expect(packets.control).toBeGreaterThan(5)
  })

  it('home: hosts reach each other and the internet, which sees the router', async () => {
    const lab = await enter('home')
    await Promise.all([serve(lab, 'home', 80), serve(lab, 'internet', 80)])
    expect(await visit(lab, 'neighbour', `http://${lab.address('home')}/`)).toBe('from home, to 192.168.1.3')
    expect(await visit(lab, 'home', `http://${lab.address('internet')}/`)).toBe('from internet, to 11.0.0.2')
  })

  it('home-upnp and home-igd1: only UPnP is there, with the version of the topology', async () => {
    const [one, two] = await Promise.all([enter('home-igd1'), enter('home-upnp')])
    const description = (lab: Lab): Promise<string> =>
      visit(lab, 'home', `http://${lab.address('router')}:${lab.controlPort()}/rootDesc.xml`)
    expect(await description(one)).toContain('InternetGatewayDevice:1')
    expect(await description(two)).toContain('InternetGatewayDevice:2')
    for (const lab of [one, two]) {
      expect(await upnpMap(lab, 4000)).toContain('is redirected to')
      expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4001)).toBe('ECONNREFUSED')
    }
  })

  it('home-nat-pmp and home-pcp: one of the two protocols answers, the other gets silence', async () => {
    const [natPmp, pcp] = await Promise.all([enter('home-nat-pmp'), enter('home-pcp')])
    expect(await natPmpMap(natPmp, 4000)).toContain('Mapped public port 4000')
    expect(await pcpMap(natPmp, '192.168.1.1', 'tcp', 4001)).toBe('TIMEOUT')
    expect(await pcpMap(pcp, '192.168.1.1', 'tcp', 4001)).toMatchObject(granted)
    expect(await natPmpMap(pcp, 4000)).not.toContain('Mapped')
    expect(await upnpMap(pcp, 4002)).not.toContain('redirected')
  })

  it('home-reject: unsolicited packets from outside are refused immediately', async () => {
    const lab = await enter('home-reject')
    expect(await visit(lab, 'internet', `http://${lab.address('router', 'wan')}:4000/`)).toBe('ECONNREFUSED')
  })

  it.each([
    { wanInput: 'drop', tcp: 'TIMEOUT', udp: 'TIMEOUT', icmp: 0 },
    { wanInput: 'reject', tcp: 'ECONNREFUSED', udp: 'ECONNREFUSED', icmp: 1 },
    { wanInput: 'icmp', tcp: 'ECONNREFUSED', udp: 'ECONNREFUSED', icmp: 2 },
    { wanInput: 'icmp-prohibited', tcp: 'EHOSTUNREACH', udp: 'EHOSTUNREACH', icmp: 2 }
  ] as const)(
    'wanInput $wanInput: an unsolicited TCP connection gets $tcp, a datagram gets $udp',
    async ({ wanInput, tcp, udp, icmp }) => {
      const lab = await enter(withRouter('no-daemon', { wanInput }))
      const address = lab.address('router', 'wan')
      expect(await visit(lab, 'internet', `http://${address}:4000/`)).toBe(tcp)
      expect(await datagramError(lab, 'internet', address)).toBe(udp)
      expect(await unreachables(lab, 'internet')).toBe(icmp)
    }
  )

  it('no-daemon: ports are closed; silent: requests get no answer', async () => {
    const [refusing, silent] = await Promise.all([enter('no-daemon'), enter('silent')])
    expect(await pcpMap(refusing, '192.168.1.1', 'tcp', 4000)).toBe('ECONNREFUSED')
    expect(await visit(refusing, 'home', 'http://192.168.1.1:5000/')).toBe('ECONNREFUSED')
    expect(await pcpMap(silent, '192.168.1.1', 'tcp', 4000)).toBe('TIMEOUT')
    expect(await visit(silent, 'home', 'http://192.168.1.1:5000/')).toBe('TIMEOUT')
  })

  it('udp-blocked: only TCP reaches the internet, and no mapping service answers', async () => {
    const lab = await enter('udp-blocked')
    await serve(lab, 'internet', 80)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.2')
    expect(await datagramReturns(lab, 'home', 'neighbour')).toBe(true)
    expect(await datagramReturns(lab, 'home', 'internet')).toBe(false)
    expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4000)).toBe('TIMEOUT')
  })

  it('symmetric: the source port depends on the destination; elsewhere it is kept, or one other port', async () => {
    const changing = withRouter('no-daemon', { nat: 'port-changing' })
    const [symmetric, kept, changed] = await Promise.all([enter('symmetric'), enter('no-daemon'), enter(changing)])
    const [one, two] = await sourcePorts(symmetric, 'home', 'internet')
    expect(one).not.toBe(two)
    expect(await sourcePorts(kept, 'home', 'internet')).toEqual([6000, 6000])
    expect(await sourcePorts(changed, 'home', 'internet')).toEqual([22_384, 22_384])
  })

  it.each(['double-nat', 'carrier-nat'] as const)(
    '%s: the host reaches the internet and no protocol maps',
    async (name) => {
      const lab = await enter(name)
      await serve(lab, 'internet', 80)
      expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.2')
      expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4000)).toMatchObject({ result: 8 })
      expect(await natPmpMap(lab, 4000)).toContain('FAILED')
      expect(await upnpMap(lab, 4000)).toContain('failed')
      expect(await lab.rules()).toEqual([])
    }
  )

  it.each(['double-nat-upnp', 'carrier-nat-upnp'] as const)(
    '%s: only UPnP is available, and it fails',
    async (name) => {
      const lab = await enter(name)
      expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4000)).toBe('ECONNREFUSED')
      expect(await upnpMap(lab, 4000)).toContain('failed')
    }
  )

  it('lying: the router grants a public address at which the host is not reachable', async () => {
    const lab = await enter('lying')
    await serve(lab, 'home', 4000)
    expect(await natPmpMap(lab, 4000)).toContain('Public IP address : 11.0.0.2')
    expect(await lab.rules()).toHaveLength(1)
    expect(await visit(lab, 'internet', 'http://11.0.0.2:4000/')).toBe('TIMEOUT')
  })

  it('two-gateways: both grant, and the host is reachable only through the default one', async () => {
    const lab = await enter('two-gateways')
    await serve(lab, 'home', 4000)
    expect(await natPmpMap(lab, 4000, lab.address('router'))).toContain('Mapped')
    expect(await natPmpMap(lab, 4000, lab.address('second-router'))).toContain('Mapped')
    expect(await visit(lab, 'internet', 'http://11.0.0.2:4000/')).toContain('from home')
    expect(await visit(lab, 'internet', 'http://11.0.0.3:4000/')).toBe('TIMEOUT')
  })

  it('two-default-routes: each LAN has a router with mapping services, and the lower metric wins', async () => {
    const lab = await enter('two-default-routes')
    await serve(lab, 'internet', 80)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.2')
    expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4000)).toMatchObject(granted)
    expect(await natPmpMap(lab, 4000, '192.168.2.1')).toContain('Mapped')
    const { stdout } = await lab.run('home', ['cat', '/proc/net/route'])
    expect(stdout.match(/^\w+\t00000000\t/gm)).toHaveLength(2)
  })

  it('ipv6-firewall: inbound connections pass only through a pinhole', async () => {
    const lab = await enter('ipv6-firewall')
    await Promise.all([serve(lab, 'home', 4000, '::'), serve(lab, 'internet', 80, '::')])
    const page = `http://[${lab.address6('home')}]:4000/`
    expect(await visit(lab, 'home', `http://[${lab.address6('internet')}]/`)).toBe('from internet, to 2a00:1::2')
    expect(await visit(lab, 'internet', page)).toBe('TIMEOUT')
    expect(await pcpMap(lab, 'fe80::1%eth0', 'tcp', 4000)).toMatchObject(granted)
    expect(await visit(lab, 'internet', page)).toBe('from home, to 2a00:2::1')
    expect(await lab.rules()).toEqual([
      { family: 6, protocol: 'tcp', externalPort: 4000, internalAddress: '2a00:1::2', internalPort: 4000 }
    ])
    expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4000)).toMatchObject(granted)
    expect(await visit(lab, 'internet', 'http://11.0.0.2:4000/')).toContain('from home')
  })

  it('container-bridge: the next hop has no mapping service, and the host reaches the internet', async () => {
    const lab = await enter('container-bridge')
    await serve(lab, 'internet', 80)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.2')
    expect(await pcpMap(lab, '172.17.0.1', 'tcp', 4000)).toBe('ECONNREFUSED')
  })

  it('vpn-default-route: the default route is a tunnel without a next hop, and the LAN router maps', async () => {
    const lab = await enter('vpn-default-route')
    await serve(lab, 'internet', 80)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.8')
    const { stdout } = await lab.run('home', ['cat', '/proc/net/route'])
    expect(stdout).toMatch(/^tun0\t00000000\t00000000\t/m)
    expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4000)).toMatchObject(granted)
  })
})
