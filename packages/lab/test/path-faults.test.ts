import { afterEach, describe, expect, it } from 'vitest'
import { DelayedCables } from '../src/delays.js'
import type { Lab, Topology, TopologyName } from '../src/index.js'
import { canDelay, canRunLab, LabError, openLab, withPeers, withRouter } from '../src/index.js'
import type { Namespace } from '../src/namespace.js'
import { hearsItself } from './support/datagrams.js'
import { datagramReturns, natPmpMap, serve, visit } from './support/programs.js'
import { arrivesWhole, burst, connectMs, talk } from './support/streams.js'

const open: Lab[] = []
const enter = async (topology: TopologyName | Topology): Promise<Lab> => {
  const lab = await openLab(topology)
  open.push(lab)
  return lab
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((lab) => lab.close()))
})

it('delay rejects with LAB_UNSUPPORTED each time if the kernel lacks VXLAN', async () => {
  const refusing = {
    script: () => Promise.reject(new LabError('LAB_COMMAND', 'Unknown device type.'))
  } as unknown as Namespace
  const cables = new DelayedCables(refusing)
  const wish = {
    cable: { port: 'port0', bridge: 'net0', hairpin: false },
    delay: { delayMs: 1, jitterMs: 0 }
  }
  for (const _ of [1, 2]) {
    await expect(cables.set([wish])).rejects.toMatchObject({
      code: 'LAB_UNSUPPORTED',
      message: expect.stringContaining('VXLAN') as string
    })
  }
})

// Longer than the timeouts of these tests.
const forever = 60_000
const delays = await canDelay()

describe.skipIf(!delays.ok)(`delay${delays.ok ? '' : ` (skipped: ${delays.reason})`}`, { timeout: 15_000 }, () => {
  it('a delay applies to each direction of the outer cable of a router, and to no other cable', async () => {
    const lab = await enter('home')
    await Promise.all([serve(lab, 'internet', 80), serve(lab, 'neighbour', 80)])
    await lab.delay('router', 20)
    expect(await connectMs(lab, 'home', lab.address('internet'), 80)).toBeGreaterThanOrEqual(40)
    await lab.delay('router', forever)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('TIMEOUT')
    expect(await visit(lab, 'home', `http://${lab.address('neighbour')}/`)).toContain('from neighbour')
    await lab.delay('router', 0)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toContain('from internet')
    await lab.delay('home', forever)
    expect(await visit(lab, 'home', `http://${lab.address('neighbour')}/`)).toBe('TIMEOUT')
    expect(await visit(lab, 'neighbour', 'http://11.0.0.1/')).toContain('from internet')
  })

  it('the delays of two homes add up, and those of a topology apply from the start', async () => {
    const { hosts, ...rest } = withPeers('two-homes')
    const slow = Object.entries(hosts).map(([name, plan]) => {
      const links = plan.links.map((link) => (link.name === 'wan' ? { ...link, delayMs: 10 } : link))
      return [name, { ...plan, links }] as const
    })
    const lab = await enter({ ...rest, hosts: Object.fromEntries(slow) })
    await Promise.all([serve(lab, 'home2', 4000), serve(lab, 'alpha', 80)])
    await natPmpMap(lab, 4000, '192.168.2.1', 'home2')
    expect(await connectMs(lab, 'home', '21.0.0.1', 80)).toBeGreaterThanOrEqual(20)
    expect(await connectMs(lab, 'home', '12.0.0.2', 4000)).toBeGreaterThanOrEqual(40)
  })

  it('a delayed cable changes no bytes, carries large datagrams, and keeps the order', async () => {
    const lab = await enter('home')
    await lab.delay('router', 5, { jitterMs: 10 })
    expect(await arrivesWhole(lab, 'home', 'internet', 5_000_000)).toBe(true)
    expect(await datagramReturns(lab, 'home', 'internet', 4000)).toBe(true)
    expect(await burst(lab, 'home', 'internet', 30)).toEqual([...Array(30).keys()])
  })

  it('a delay does not affect mappings, hairpin and a change of address', async () => {
    const lab = await enter(withPeers(withRouter('home', { hairpin: true })))
    await lab.delay('router', 1)
    await serve(lab, 'home', 4000)
    expect(await natPmpMap(lab, 4000)).toContain('Mapped')
    expect(await visit(lab, 'alpha', 'http://11.0.0.2:4000/')).toBe('from home, to 21.0.0.1')
    await lab.changeWanAddress('router', '11.0.0.77')
    expect(await hearsItself(lab, 'me')).toBe('me from 11.0.0.77:6001')
    await lab.delay('router', 0)
    expect(await hearsItself(lab, 'me')).toBe('me from 11.0.0.77:6001')
  })

  it('a delay and a loss on the same cable both apply', async () => {
    const lab = await enter('home')
    await serve(lab, 'internet', 80)
    await lab.loss('router', 100, 'wan')
    await lab.delay('router', 20)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('TIMEOUT')
    await lab.loss('router', 0, 'wan')
    expect(await connectMs(lab, 'home', '11.0.0.1', 80)).toBeGreaterThanOrEqual(40)
  })

  it('a delay applies to IPv6', async () => {
    const lab = await enter('ipv6-firewall')
    await serve(lab, 'internet', 80, '::')
    await lab.delay('router', 20)
    expect(await connectMs(lab, 'home', lab.address6('internet'), 80)).toBeGreaterThanOrEqual(40)
  })

  it('an invalid delay is rejected', async () => {
    const lab = await enter('home')
    await expect(lab.delay('router', -1)).rejects.toThrow('0 to 60000')
    await expect(lab.delay('router', 1, { jitterMs: Number.NaN })).rejects.toThrow('not NaN')
    await expect(lab.delay('router', 1, { link: 'eth7' })).rejects.toThrow('lan, wan')
  })
})

const support = await canRunLab()

describe.skipIf(!support.ok)(`cables${support.ok ? '' : ` (skipped: ${support.reason})`}`, { timeout: 15_000 }, () => {
  it('an outage is silent, and a connection continues after it', async () => {
    const lab = await enter('home')
    const { say, hear } = await talk(lab, 'home', 'internet')
    expect(await say('before')).toBe('before')
    await lab.outageBegins('router')
    expect(await say('during')).toBe(false)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('TIMEOUT')
    const { stdout } = await lab.run('router', ['cat', '/sys/class/net/wan/carrier'])
    expect(stdout.trim()).toBe('1')
    const heard = hear()
    await lab.outageEnds('router')
    expect(await heard).toBe('during')
  })

  it('an outage affects one host only, and can begin and end repeatedly', async () => {
    const lab = await enter('home')
    await serve(lab, 'internet', 80)
    for (const [begin, seen] of [
      [true, 'TIMEOUT'],
      [false, 'from internet, to 11.0.0.2']
    ] as const) {
      for (const _ of [1, 2]) await (begin ? lab.outageBegins('home') : lab.outageEnds('home'))
      expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe(seen)
      expect(await visit(lab, 'neighbour', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.2')
    }
  })

  it('a loss applies to the given link', async () => {
    const lab = await enter('home')
    await Promise.all([serve(lab, 'internet', 80), serve(lab, 'neighbour', 80)])
    await lab.loss('router', 100, 'wan')
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('TIMEOUT')
    expect(await natPmpMap(lab, 4000)).toContain('Mapped')
  })
})
