import { canDelay } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import type { LabNode } from './support/nodes.js'
import { ipv6Homes, laptopAndHome } from './support/homes.js'
import { openNodes, openTwoHomes } from './support/two-homes.js'
import { skipped, support } from './support/world.js'

const delays = await canDelay()
const direct = { state: 'direct', cause: null }

/** Connections that are left when those through the relay were let go. */
async function settled(node: LabNode, peer: string): Promise<readonly string[]> {
  await expect
    .poll(async () => (await node.connections(peer)).some(({ limited }) => limited), { timeout: 15_000 })
    .toBe(false)
  return (await node.connections(peer)).map(({ address }) => address.replace(/\/p2p\/.*/, ''))
}

describe.skipIf(!support.ok)(`two homes whose routers map nothing${skipped}`, { timeout: 60_000 }, () => {
  it('are connected directly once one has dialled the other through a relay, and let the relay go', async () => {
    await using homes = await openTwoHomes('home', 'home')
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    expect(await settled(home2, home.peerId)).toEqual([expect.stringMatching(/^\/ip4\/11\.0\.0\.2\/tcp\/\d+$/)])
    expect(await settled(home, home2.peerId)).toEqual([expect.stringMatching(/^\/ip4\/12\.0\.0\.2\/tcp\/\d+$/)])
    expect(await home.ping(home2.peerId)).toBeGreaterThanOrEqual(0)
    expect((await home2.report()).peers).toMatchObject([{ peer: home.peerId, state: 'direct', strategy: 'hole-punch' }])
  })

  it('meet behind routers that answer with RST, with ICMP, or not at all', async () => {
    await using homes = await openTwoHomes('home', 'home', {
      home: { wanInput: 'reject' },
      home2: { wanInput: 'icmp-prohibited' }
    })
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
  })

  it.skipIf(!delays.ok)('meet over a way that is long, and loses packets', async () => {
    await using homes = await openTwoHomes('home', 'carrier', {
      both: { wanInput: 'reject', delayMs: 20, jitterMs: 3 }
    })
    await homes.world.lab.loss('router', 3, 'wan')
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
  })

  it('meet behind carriers’ NATs, and through UDP that is blocked', async () => {
    await using homes = await openTwoHomes('carrier', 'carrier', { both: { forwards: 'tcp' } })
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
  })

  it('stay relayed behind two symmetric NATs, and say so', async () => {
    await using homes = await openTwoHomes('symmetric', 'symmetric')
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    const failed = { state: 'failed', cause: 'symmetric-both' }
    expect(await homes.outcomes()).toMatchObject([failed, failed])
    expect(await home2.connections(home.peerId)).toMatchObject([{ limited: true }])
    expect(await home2.ping(home.peerId)).toBeGreaterThanOrEqual(0)
    await expect(home.direct(home2.peerId)).rejects.toThrow('a different port for each destination')
  })

  it('know what their NATs are from STUN servers where they have one peer alone, and give up at once', async () => {
    const stunServers = ['21.0.0.1', '31.0.0.1']
    await using homes = await openTwoHomes('symmetric', 'carrier', { peers: 1, stunServers })
    const mapping = async (node: LabNode) => (await node.report()).nat?.mapping
    await expect.poll(() => mapping(homes.home), { timeout: 15_000 }).toBe('address-and-port-dependent')
    await expect.poll(() => mapping(homes.home2), { timeout: 15_000 }).toBe('endpoint-independent')
    await homes.dialThroughRelay()
    const failed = { state: 'failed', cause: 'symmetric-one' }
    expect(await homes.outcomes()).toMatchObject([failed, failed])
  })

  it('meet by many guesses where one NAT is symmetric, and both want it', async () => {
    await using homes = await openTwoHomes('symmetric', 'home', { punch: { birthday: true } })
    await homes.dialThroughRelay()
    // One attempt in fifty misses, and there are three.
    expect(await homes.outcomes()).toMatchObject([direct, direct])
  })

  it('meet by WebRTC where both have it, and the routers let no TCP through between them', async () => {
    const node = { iceServer: 'stun:31.0.0.1:3478', listen: ['/ip4/0.0.0.0/tcp/4001', '/webrtc'] }
    await using homes = await openTwoHomes('home', 'home', { node })
    const { home, home2, world } = homes
    for (const words of [
      'add table ip strict',
      'add chain ip strict forward { type filter hook forward priority -10 ; }',
      'add rule ip strict forward ip daddr 12.0.0.2 meta l4proto tcp drop'
    ]) {
      expect(await world.lab.run('router', ['nft', ...words.split(' ')])).toMatchObject({ code: 0 })
    }
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    expect((await home2.connections(home.peerId)).map(({ address }) => address)).toContainEqual(
      expect.stringContaining('/webrtc')
    )
  })

  it('can be waited for until they are connected directly', async () => {
    await using homes = await openTwoHomes('home', 'carrier')
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    expect(await home2.direct(home.peerId)).toMatchObject({ direct: true, limited: false })
  })

  it('leave no socket behind when one stops in the middle of it', async () => {
    await using homes = await openTwoHomes('symmetric', 'symmetric')
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    await home2.until(({ state }) => state === 'punching')
    const { resources } = await home2.stop()
    expect(resources.filter((each) => /TCP|UDP/.test(each))).toEqual([])
    expect(await home.until(({ state }) => state === 'failed')).toBeDefined()
  })

  it('stay connected through an outage of five seconds', async () => {
    // libp2p's monitor ends a connection whose ping takes longer than 5 s, where one happens to fall into the outage.
    await using homes = await openTwoHomes('home', 'home', { node: { monitored: false } })
    const { home, home2, world } = homes
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    await settled(home2, home.peerId)
    await world.lab.outageBegins('router', 'wan')
    // A real five seconds: the kernels of both homes count them.
    await new Promise((resolve) => setTimeout(resolve, 5000))
    await world.lab.outageEnds('router', 'wan')
    await expect.poll(async () => home2.ping(home.peerId), { timeout: 20_000 }).toBeGreaterThanOrEqual(0)
    expect(await home2.connections(home.peerId)).toMatchObject([{ limited: false }])
  })
})

describe.skipIf(!support.ok)(`two homes of another kind${skipped}`, { timeout: 90_000 }, () => {
  it('with firewalls and IPv6 alone meet in the same way', async () => {
    const node = { listen: ['/ip6/::/tcp/4001'] }
    await using homes = await openNodes(ipv6Homes, { family: 6, node })
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    expect(await settled(home2, home.peerId)).toEqual([expect.stringMatching(/^\/ip6\/2a00:1::2\/tcp\/\d+$/)])
    expect(await settled(home, home2.peerId)).toEqual([expect.stringMatching(/^\/ip6\/2a00:2::2\/tcp\/\d+$/)])
    expect(await home.ping(home2.peerId)).toBeGreaterThanOrEqual(0)
  })

  it('meet again when one has gone over to another network', async () => {
    await using homes = await openNodes(laptopAndHome, { node: { monitored: false } })
    const { home, home2, world } = homes
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    expect(await settled(home2, home.peerId)).toEqual([expect.stringMatching(/^\/ip4\/11\.0\.0\.2\/tcp\/\d+$/)])

    await world.lab.switchUplink('home')
    await expect.poll(async () => home.connections(home2.peerId), { timeout: 20_000 }).toEqual([])
    await expect
      .poll(async () => String(await home.addresses()), { timeout: 20_000 })
      .toMatch(/192\.168\.2\.2.*p2p-circuit/)
    // The relay, a stock one, also takes its time to see that the connection from before is dead.
    await expect
      .poll(
        async () =>
          homes.dialThroughRelay().then(
            () => true,
            () => false
          ),
        { timeout: 30_000, interval: 1000 }
      )
      .toBe(true)
    await expect
      .poll(async () => (await home2.connections(home.peerId)).map(({ address }) => address), { timeout: 20_000 })
      .toContainEqual(expect.stringMatching(/^\/ip4\/12\.0\.0\.2\/tcp\/\d+/))
    expect(await home2.ping(home.peerId)).toBeGreaterThanOrEqual(0)
  })
})

describe.skipIf(!support.ok)(`a home that is mapped${skipped}`, { timeout: 60_000 }, () => {
  it('is dialled at that address, also from behind a symmetric NAT, by either side', async () => {
    const mapping = { upnp: 'igd2', natPmp: true, pcp: true } as const
    for (const [one, other] of [
      ['home', 'symmetric'],
      ['symmetric', 'home']
    ] as const) {
      await using homes = await openTwoHomes(one, other, { both: { mapping }, mappers: ['pcp'] })
      await (one === 'home' ? homes.home : homes.home2).until(({ event }) => event === 'verified')
      await homes.dialThroughRelay()
      expect(await homes.outcomes()).toMatchObject([direct, direct])
      expect(await settled(homes.home2, homes.home.peerId)).not.toEqual([])
      expect(await homes.home.ping(homes.home2.peerId)).toBeGreaterThanOrEqual(0)
    }
  })

  it('is dialled with QUIC where it listens for nothing else', async () => {
    const node = { quic: true, listen: ['/ip4/0.0.0.0/udp/4001/quic-v1'] }
    const home = { mapping: { upnp: 'igd2', natPmp: true, pcp: true } } as const
    await using homes = await openTwoHomes('home', 'symmetric', {
      home,
      mappers: ['pcp'],
      node,
      publicNode: { quic: true }
    })
    await homes.home.until(({ event }) => event === 'verified')
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    expect(await settled(homes.home2, homes.home.peerId)).toEqual(['/ip4/11.0.0.2/udp/4001/quic-v1'])
    expect(await homes.home2.ping(homes.home.peerId)).toBeGreaterThanOrEqual(0)
  })
})
