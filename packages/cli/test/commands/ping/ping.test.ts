import { describe, expect, it } from 'vitest'
import { type Running, support, why } from '../../support/in-lab.js'
import { openTunnelHomes, type TunnelHomes } from '../../support/tunnels.js'

const ping = (homes: TunnelHomes, peer: string, ...args: readonly string[]): Running =>
  homes.guestRuns(['ping', peer, '--via', 'none', '--json', ...args])

const eventsOf = ({ told }: Running): readonly string[] => told.map(({ event }) => event)

describe.skipIf(!support.ok)(`postern ping${why}`, { timeout: 60_000 }, () => {
  it('ping reports the relay first, then the direct connection, and ends with 0', async () => {
    const homes = await openTunnelHomes('home', 'home')
    const { peerId } = await homes.listen('2200')
    const running = ping(homes, peerId, ...homes.named, '--count', '40')
    expect(await running.ended).toBe(0)
    expect(running.told[0]).toMatchObject({
      event: 'pong',
      ping: 1,
      via: 'relayed',
      address: expect.stringMatching(/^\/ip4\/(21|31)\.0\.0\.1\/tcp\/4001\/p2p\/\w+$/)
    })
    const [last, summary] = running.told.slice(-2)
    expect(last).toMatchObject({
      event: 'pong',
      via: 'direct',
      address: expect.stringMatching(/^\/ip4\/11\.0\.0\.2\/tcp\//)
    })
    expect(summary).toMatchObject({ event: 'summary', peer: peerId, reached: 'direct', notDirect: null, hint: null })
  })

  it('ping maps a port for the direct connection, and gives it back', async () => {
    const mapping = { upnp: 'igd2', natPmp: true, pcp: true } as const
    const homes = await openTunnelHomes('symmetric', 'home', { home2: { mapping } })
    const { peerId } = await homes.listen('2200')
    const running = homes.guestRuns(['ping', peerId, '--json', ...homes.named, '--no-until-direct', '--count', '40'])
    await running.next('pong')
    await expect.poll(() => homes.lab.rules('router2'), { timeout: 10_000 }).not.toEqual([])
    running.child.kill('SIGINT')
    expect(await running.ended).toBeOneOf([0, 10])
    expect(await homes.lab.rules('router2')).toEqual([])
  })

  it('ping reports that both NATs are symmetric, and ends with 10', async () => {
    const homes = await openTunnelHomes('symmetric', 'symmetric')
    const { peerId } = await homes.listen('2200')
    const running = ping(homes, peerId, ...homes.named, '--count', '8')
    expect(await running.ended).toBe(10)
    expect(eventsOf(running).filter((event) => event === 'pong')).toHaveLength(8)
    expect(running.told.at(-1)).toMatchObject({
      pings: 8,
      answers: 8,
      reached: 'relayed',
      direct: null,
      notDirect: { code: 'SYMMETRIC_NAT' }
    })
  })

  it('ping reports a peer that vanishes and comes back, and a peer that the relay does not know', async () => {
    const homes = await openTunnelHomes('symmetric', 'symmetric')
    const { running: there, peerId } = await homes.listen('2200')
    const running = ping(homes, peerId, ...homes.named, '--count', '100')
    await running.next('pong')
    there.child.kill('SIGKILL')
    await there.ended
    expect(await running.next('no-answer')).toMatchObject({ message: expect.stringMatching(/./) })
    await homes.listen('2200')
    expect(await running.next('pong')).toMatchObject({ via: 'relayed' })
    running.child.kill('SIGINT')
    expect(await running.ended).toBe(10)
    expect(running.told.at(-1)).toMatchObject({ event: 'summary', reached: 'relayed' })

    const unknown = ping(homes, homes.guest, ...homes.named, '--count', '2')
    expect(await unknown.ended).toBe(1)
    expect(eventsOf(unknown)).toEqual(['no-answer', 'no-answer', 'summary'])
    expect(unknown.told.at(-1)).toMatchObject({
      reached: 'none',
      hint: expect.stringMatching(/^the relay knows no such peer now\. .*: postern peer --relay \/ip4\//)
    })
  })

  it('ping reports a relay that is down, and an interruption before the first answer', async () => {
    const homes = await openTunnelHomes('home', 'home')
    const { peerId } = await homes.listen('2200')
    const down = `/ip4/21.0.0.1/tcp/4999/p2p/${homes.guest}`
    const running = ping(homes, peerId, '--relay', down, '--count', '1')
    expect(await running.ended).toBe(1)
    expect(running.told).toContainEqual(expect.objectContaining({ event: 'not-connected', address: down }))
    expect(running.told.at(-1)).toMatchObject({ reached: 'none', hint: expect.stringContaining('postern relay') })

    // Nothing answers at this address, not even with a refusal.
    const silent = ping(homes, `/ip4/41.0.0.9/tcp/4001/p2p/${peerId}`, '--relay', down)
    await silent.next('not-connected')
    silent.child.kill('SIGINT')
    expect(await silent.ended).toBe(12)
  })
})
