import { readFile } from 'node:fs/promises'
import { describe, expect, it, vi } from 'vitest'
import { enter, externalOf, folder, serve, start, support, visit, why } from '../../support/in-lab.js'

const alone = [
  ['pcp', 'home-pcp'],
  ['nat-pmp', 'home-nat-pmp'],
  ['upnp', 'home-upnp']
] as const
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
/** The time before which the epoch of a restarted router cannot be distinguished from the previous one. */
const epochMs = 4000

describe.skipIf(!support.ok).concurrent(`on real gateways${why}`, { timeout: 40_000 }, () => {
  describe.each(alone)('%s alone', (via, topology) => {
    it.each(['tcp', 'udp'] as const)('map maps %s, is reached from outside, renews and releases', async (protocol) => {
      const lab = await enter(topology)
      await serve(lab, 'home', 8080, protocol)
      const program = start(lab, { via: 'any', port: 8080, protocol })
      const mapped = await program.next('mapped')
      expect(mapped).toMatchObject({ strategy: via, protocol, external: { address: '11.0.0.2', port: 8080 } })
      expect(await visit(lab, '11.0.0.2', 8080, protocol)).toBe('hello from home')
      program.tell('recheck')
      expect(externalOf(await program.next('renewed'))).toEqual(externalOf(mapped))
      expect(await lab.rules()).toHaveLength(1)
      expect(await visit(lab, '11.0.0.2', 8080, protocol)).toBe('hello from home')
      program.tell('stop')
      await program.next('released')
      expect(await lab.rules()).toEqual([])
      expect(await program.ended).toBe(0)
    })

    it('map maps again soon after the router was rebooted', async () => {
      const lab = await enter(topology)
      await serve(lab, 'home', 8080)
      const program = start(lab, { via, port: 8080 })
      await program.next('mapped')
      await pause(epochMs)
      await lab.reboot()
      const back = performance.now()
      await program.next('renewed')
      // At most 5.5 s by the policy, which a test on the virtual clock checks. The rest is for a busy machine.
      expect(performance.now() - back).toBeLessThan(10_000)
      expect(await visit(lab, '11.0.0.2', 8080)).toBe('hello from home')
    })

    it('map reports a new WAN address, and withdraws the old one', async () => {
      // miniupnpd announces a new address only with UPnP on.
      const lab = await enter('home')
      await serve(lab, 'home', 8080)
      const program = start(lab, { via, port: 8080 })
      await program.next('mapped')
      await pause(epochMs)
      await lab.changeWanAddress('router', '11.0.0.77')
      // UPnP does not announce a new address; the next poll shows it.
      if (via === 'upnp') program.tell('recheck')
      expect(externalOf(await program.next('changed'))).toEqual({ address: '11.0.0.77', port: 8080 })
      program.tell('report')
      const { report } = await program.next('report')
      expect(report?.externalAddresses).toEqual(['/ip4/11.0.0.77/tcp/8080'])
      expect(await visit(lab, '11.0.0.77', 8080)).toBe('hello from home')
    })

    it('map gets another port if a host has the requested one', async () => {
      const lab = await enter(topology)
      await Promise.all([serve(lab, 'home', 8080), serve(lab, 'neighbour', 8080)])
      const first = start(lab, { via, port: 8080 }, 'neighbour')
      await first.next('mapped')
      const second = start(lab, { via, port: 8080 })
      const { port } = externalOf(await second.next('mapped'))
      expect(port).not.toBe(8080)
      expect(await visit(lab, '11.0.0.2', 8080)).toBe('hello from neighbour')
      expect(await visit(lab, '11.0.0.2', port)).toBe('hello from home')
    })

    it('map gets another port if another process of the host has the requested one', async () => {
      const lab = await enter(topology)
      await Promise.all([serve(lab, 'home', 8080), serve(lab, 'home', 9090)])
      const first = start(lab, { via, port: 8080 })
      await first.next('mapped')
      const second = start(lab, { via, port: 9090, externalPort: 8080 })
      expect(externalOf(await second.next('mapped')).port).not.toBe(8080)
      const rules = await lab.rules()
      expect(rules.find(({ externalPort }) => externalPort === 8080)?.internalPort).toBe(8080)
      expect(rules).toHaveLength(2)
    })

    it('map reuses its mapping after kill -9 without a second one', async () => {
      const lab = await enter(topology)
      const statePath = `${await folder()}/state.json`
      const blocker = start(lab, { via, port: 8080 }, 'neighbour')
      await blocker.next('mapped')
      const first = start(lab, { via, port: 8080, statePath })
      const { port } = externalOf(await first.next('mapped'))
      await first.next('first-pass')
      // The grant is stored soon, but not at once.
      const isSaved = async (): Promise<void> =>
        expect(await readFile(statePath, 'utf8')).toContain(`"externalPort": ${port}`)
      await vi.waitFor(isSaved, { timeout: 10_000 })
      first.child.kill('SIGKILL')
      await first.ended
      const second = start(lab, { via, port: 8080, statePath })
      expect(externalOf(await second.next('mapped')).port).toBe(port)
      expect(await lab.rules()).toHaveLength(2)
      second.tell('stop')
      await second.ended
      expect(await lab.rules()).toHaveLength(1)
    })

    it('map maps again from a new address of this host', async () => {
      const lab = await enter(topology)
      await serve(lab, 'home', 8080)
      const program = start(lab, { via, port: 8080 })
      await program.next('mapped')
      await lab.changeHostAddress('home', '192.168.1.55')
      await program.next('lost')
      const { address, port } = externalOf(await program.next('mapped'))
      expect(await visit(lab, address, port)).toBe('hello from home')
    })
  })

  it('map with three protocols on one router creates exactly one rule, which survives', async () => {
    const lab = await enter('home')
    await serve(lab, 'home', 8080)
    const program = start(lab, { via: 'pcp,nat-pmp,upnp', port: 8080 })
    await program.next('mapped')
    const { report } = await program.next('first-pass')
    expect(report?.verdict).toBe('public')
    await pause(1500)
    expect(await lab.rules()).toHaveLength(1)
    expect(await visit(lab, '11.0.0.2', 8080)).toBe('hello from home')
  })

  it('map maps on a router that supports only IGD:1', async () => {
    const lab = await enter('home-igd1')
    await serve(lab, 'home', 8080)
    const program = start(lab, { via: 'any', port: 8080 })
    expect(await program.next('mapped')).toMatchObject({ strategy: 'upnp' })
    expect(await visit(lab, '11.0.0.2', 8080)).toBe('hello from home')
  })

  it('map finds the control port again after a reboot has changed it', async () => {
    const lab = await enter('home-upnp')
    await serve(lab, 'home', 8080)
    const program = start(lab, { via: 'upnp', port: 8080 })
    await program.next('mapped')
    await lab.reboot('router', { controlPort: 5123 })
    await program.next('renewed')
    expect(await visit(lab, '11.0.0.2', 8080)).toBe('hello from home')
  })

  it.each(['pcp', 'upnp'])('map opens an IPv6 pinhole through %s, is reached, and closes it', async (via) => {
    const lab = await enter('ipv6-firewall')
    await serve(lab, 'home', 8080)
    const ours = lab.address6('home')
    expect(await visit(lab, ours, 8080)).toBe('timeout')
    const program = start(lab, { via, port: 8080, family: 6 })
    expect(externalOf(await program.next('mapped'))).toEqual({ address: ours, port: 8080 })
    expect(await visit(lab, ours, 8080)).toBe('hello from home')
    // miniupnpd 2.3.1 cannot delete a pinhole that was renewed through PCP: a renewal damages the nonce it keeps.
    if (via === 'upnp') {
      program.tell('recheck')
      await program.next('renewed')
    }
    program.tell('stop')
    await program.next('released')
    expect(await visit(lab, ours, 8080)).toBe('timeout')
  })
})
