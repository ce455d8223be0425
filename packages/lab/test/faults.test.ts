import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, TopologyName } from '../src/index.js'
import { canRunLab, openLab } from '../src/index.js'
import { natPmpMap, pcpMap, serve, upnpMap, visit } from './support/programs.js'
import { talk } from './support/streams.js'

const support = await canRunLab()

describe.skipIf(!support.ok)(`faults${support.ok ? '' : ` (skipped: ${support.reason})`}`, { timeout: 15_000 }, () => {
  const open: Lab[] = []
  const enter = async (name: TopologyName): Promise<Lab> => {
    const lab = await openLab(name)
    open.push(lab)
    return lab
  }
  afterEach(async () => {
    await Promise.all(open.splice(0).map((lab) => lab.close()))
  })

  it('a reboot flushes rules and leases, resets the epoch and may move the control port', async () => {
    const lab = await enter('home')
    await natPmpMap(lab, 4000)
    await expect.poll(() => pcpMap(lab, '192.168.1.1', 'tcp', 4000), { timeout: 5000 }).toHaveProperty('epoch', 2)
    await lab.reboot('router', { controlPort: 5123 })
    expect(await lab.rules()).toEqual([])
    expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4001)).toMatchObject({ result: 0, epoch: 0 })
    expect((await lab.rules()).map((rule) => rule.externalPort)).toEqual([4001])
    expect(await visit(lab, 'home', 'http://192.168.1.1:5000/rootDesc.xml')).toBe('ECONNREFUSED')
    expect(await upnpMap(lab, 4002)).toContain('is redirected to')
    expect((await lab.packets()).control).toBeGreaterThan(5)
  })

  it('a stopped daemon refuses requests, keeps its rules, and restarts with them', async () => {
    const lab = await enter('home')
    await natPmpMap(lab, 4000)
    await lab.stopDaemon()
    await lab.stopDaemon()
    expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4001)).toBe('ECONNREFUSED')
    expect(await lab.rules()).toHaveLength(1)
    await lab.startDaemon()
    expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4001)).toMatchObject({ result: 0 })
    expect(await lab.rules()).toHaveLength(2)
  })

  it('flushRules removes the rules while the daemon runs', async () => {
    const lab = await enter('home')
    await serve(lab, 'home', 4000)
    await natPmpMap(lab, 4000)
    await lab.flushRules()
    expect(await lab.rules()).toEqual([])
    expect(await visit(lab, 'internet', 'http://11.0.0.2:4000/')).toBe('TIMEOUT')
    expect(await natPmpMap(lab, 4000)).toContain('Mapped')
  })

  it('blockInbound drops new connections until unblockInbound, while the router still grants mappings', async () => {
    const lab = await enter('home')
    await Promise.all([serve(lab, 'home', 4000), serve(lab, 'internet', 80)])
    await lab.blockInbound()
    await lab.blockInbound()
    expect(await natPmpMap(lab, 4000)).toContain('Mapped')
    expect(await lab.rules()).toHaveLength(1)
    expect(await visit(lab, 'internet', 'http://11.0.0.2:4000/')).toBe('TIMEOUT')
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toContain('from internet')
    await lab.unblockInbound()
    await lab.unblockInbound()
    expect(await visit(lab, 'internet', 'http://11.0.0.2:4000/')).toContain('from home')
  })

  it.each(['11.0.0.77', '12.9.8.7'])(
    'the daemon reports a WAN address that changed to %s, and the address is reachable',
    async (address) => {
      const lab = await enter('home')
      await serve(lab, 'home', 4000)
      await lab.changeWanAddress('router', address)
      expect(lab.address('router', 'wan')).toBe(address)
      expect(await natPmpMap(lab, 4000)).toContain(`Public IP address : ${address}`)
      expect(await visit(lab, 'internet', `http://${address}:4000/`)).toContain('from home')
      expect(await visit(lab, 'internet', 'http://11.0.0.2:4000/')).not.toContain('from home')
    }
  )

  it('a host reaches the internet after a change of address, and after its link was down', async () => {
    const lab = await enter('home')
    await serve(lab, 'internet', 80)
    await lab.changeHostAddress('home', '192.168.1.9')
    expect(lab.address('home')).toBe('192.168.1.9')
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toContain('from internet')
    expect(await pcpMap(lab, '192.168.1.1', 'tcp', 4000)).toMatchObject({ result: 0 })

    await lab.linkDown('home')
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('ENETUNREACH')
    await lab.linkUp('home')
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toContain('from internet')
  })

  it('switchUplink gives a host the address, gateway and provider of the other network, and back', async () => {
    const lab = await enter('two-uplinks')
    await serve(lab, 'internet', 80)
    const seen = async (): Promise<string[]> => [
      lab.address('home'),
      await visit(lab, 'home', 'http://11.0.0.1/'),
      (await lab.run('home', ['ip', '-4', '-o', 'address', 'show', 'scope', 'global'])).stdout.trim().split(/\s+/)[3] ??
        ''
    ]
    const first = ['192.168.1.2', 'from internet, to 11.0.0.2', '192.168.1.2/24']
    expect(await seen()).toEqual(first)
    await lab.switchUplink('home')
    expect(await seen()).toEqual(['192.168.2.2', 'from internet, to 12.0.0.2', '192.168.2.2/24'])
    expect(await natPmpMap(lab, 4000, '192.168.2.1')).toContain('Public IP address : 12.0.0.2')
    expect(await natPmpMap(lab, 4000, '192.168.1.1')).not.toContain('Mapped')
    await lab.switchUplink('home', 'wlan0')
    expect(await seen()).toEqual(first)
    await expect(lab.switchUplink('home', 'wlan0')).rejects.toThrow('no other link')
    await expect(lab.switchUplink('internet')).rejects.toThrow('no other link')
  })

  it('a connection is dead after switchUplink, and a new connection works', async () => {
    const lab = await enter('two-uplinks')
    const before = await talk(lab, 'home', 'internet')
    expect(await before.say('before')).toBe('before')
    await lab.switchUplink('home')
    expect(await before.say('after')).toBe(false)
    const after = await talk(lab, 'home', 'internet', 9002)
    expect(await after.say('after')).toBe('after')
  })

  it('a loss between the LAN and its router does not affect neighbours', async () => {
    const lab = await enter('home')
    await Promise.all([serve(lab, 'internet', 80), serve(lab, 'neighbour', 80)])
    await lab.loss('router', 100)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('TIMEOUT')
    expect(await visit(lab, 'home', `http://${lab.address('neighbour')}/`)).toContain('from neighbour')
    await lab.loss('router', 0)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toContain('from internet')
  })

  it('log returns the log of a daemon in a lab with debug', async () => {
    const lab = await openLab('home', { debug: true })
    open.push(lab)
    await natPmpMap(lab, 4000)
    expect(await lab.log()).toContain('NAT-PMP port mapping request : 4000->192.168.1.2:4000')
    await lab.reboot()
    expect(await natPmpMap(lab, 4000)).toContain('Mapped')
  })

  it('an unknown name throws a TypeError that lists the existing names', async () => {
    const lab = await enter('no-daemon')
    expect(() => lab.address('castle')).toThrow('home, neighbour, router, internet')
    expect(() => lab.address('router', 'eth7')).toThrow('lan, wan')
    expect(() => lab.address6('home')).toThrow('no IPv6 address')
    expect(() => lab.loss('internet', 5)).toThrow('is not a router')
    await expect(lab.startDaemon()).rejects.toThrow('no daemon')
    await expect(lab.loss('router', 101)).rejects.toThrow('0 to 100')
    await expect(openLab('castle' as TopologyName)).rejects.toThrow('home-upnp')
  })

  it('close ends running commands, and later commands are refused', async () => {
    const lab = await openLab('home')
    const child = lab.spawn('home', ['sleep', '100'])
    const ended = once(child, 'exit')
    await Promise.all([lab.close(), lab.close()])
    await ended
    await lab.close()
    expect(() => lab.spawn('home', ['true'])).toThrow('closed')
  })
})
