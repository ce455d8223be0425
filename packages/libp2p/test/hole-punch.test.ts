import { canDelay } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { ipv6Homes, laptopAndHome } from './support/homes.js'
import type { LabNode } from './support/nodes.js'
import { openNodes, openTwoHomes } from './support/two-homes.js'
import { skipped, support } from './support/world.js'

const delays = await canDelay()
const direct = { state: 'direct', cause: null }

/** Resolves with the connections that are left after the relayed ones were closed. */
async function settled(node: LabNode, peer: string): Promise<readonly string[]> {
  await expect
    .poll(async () => (await node.connections(peer)).some(({ limited }) => limited), { timeout: 15_000 })
    .toBe(false)
  return (await node.connections(peer)).map(({ address }) => address.replace(/\/p2p\/.*/, ''))
}

describe.skipIf(!support.ok)(`two homes behind routers without port mapping${skipped}`, { timeout: 60_000 }, () => {
  it('two homes connect directly after a dial through a relay, and close the relayed connection', async () => {
    await using homes = await openTwoHomes('home', 'home')
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    expect(await settled(home2, home.peerId)).toEqual([expect.stringMatching(/^\/ip4\/11\.0\.0\.2\/tcp\/\d+$/)])
    expect(await settled(home, home2.peerId)).toEqual([expect.stringMatching(/^\/ip4\/12\.0\.0\.2\/tcp\/\d+$/)])
    expect(await home.ping(home2.peerId)).toBeGreaterThanOrEqual(0)
    expect((await home2.report()).peers).toMatchObject([{ peer: home.peerId, state: 'direct', strategy: 'hole-punch' }])
  })

  it('two homes connect directly behind routers that answer with RST, with ICMP, or not at all', async () => {
    await using homes = await openTwoHomes('home', 'home', {
      home: { wanInput: 'reject' },
      home2: { wanInput: 'icmp-prohibited' }
    })
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
  })

  it.skipIf(!delays.ok)('two homes connect directly over a long path with packet loss', async () => {
    await using homes = await openTwoHomes('home', 'carrier', {
      both: { wanInput: 'reject', delayMs: 20, jitterMs: 3 }
    })
    await homes.world.lab.loss('router', 3, 'wan')
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
  })

  it('two homes connect directly behind carrier-grade NATs, and with blocked UDP', async () => {
    await using homes = await openTwoHomes('carrier', 'carrier', { both: { forwards: 'tcp' } })
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
  })

  it('two homes behind symmetric NATs stay relayed and report it', async () => {
    await using homes = await openTwoHomes('symmetric', 'symmetric')
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    const failed = { state: 'failed', cause: 'symmetric-both' }
    expect(await homes.outcomes()).toMatchObject([failed, failed])
    expect(await home2.connections(home.peerId)).toMatchObject([{ limited: true }])
    expect(await home2.ping(home.peerId)).toBeGreaterThanOrEqual(0)
    await expect(home.direct(home2.peerId)).rejects.toThrow('a different port for each destination')
  })

  it('two symmetric homes with one peer learn their NATs from STUN servers and give up immediately', async () => {
    const stunServers = ['21.0.0.1', '31.0.0.1']
    await using homes = await openTwoHomes('symmetric', 'carrier', { peers: 1, stunServers })
    const mapping = async (node: LabNode) => (await node.report()).nat?.mapping
    await expect.poll(() => mapping(homes.home), { timeout: 15_000 }).toBe('address-and-port-dependent')
    await expect.poll(() => mapping(homes.home2), { timeout: 15_000 }).toBe('endpoint-independent')
    await homes.dialThroughRelay()
    const failed = { state: 'failed', cause: 'symmetric-one' }
    expect(await homes.outcomes()).toMatchObject([failed, failed])
  })

  it('two homes connect by guessing if one NAT is symmetric and both enable birthday', async () => {
    await using homes = await openTwoHomes('symmetric', 'home', { punch: { birthday: true } })
    await homes.dialThroughRelay()
    // One attempt in fifty fails, and there are three attempts.
    expect(await homes.outcomes()).toMatchObject([direct, direct])
  })

  it('two homes connect by WebRTC if the routers let no TCP through between them', async () => {
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

  it('direct() resolves when two homes are connected directly', async () => {
    await using homes = await openTwoHomes('home', 'carrier')
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    expect(await home2.direct(home.peerId)).toMatchObject({ direct: true, limited: false })
  })

  it('a node that stops during a hole punch leaves no socket behind', async () => {
    await using homes = await openTwoHomes('symmetric', 'symmetric')
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    await home2.until(({ state }) => state === 'punching')
    const { resources } = await home2.stop()
    expect(resources.filter((each) => /TCP|UDP/.test(each))).toEqual([])
    expect(await home.until(({ state }) => state === 'failed')).toBeDefined()
  })

  it('two homes stay connected through an outage of five seconds', async () => {
    // libp2p's monitor would end a connection if a ping during the outage took longer than 5 s.
    await using homes = await openTwoHomes('home', 'home', { node: { monitored: false } })
    const { home, home2, world } = homes
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    await settled(home2, home.peerId)
    await world.lab.outageBegins('router', 'wan')
    // Five seconds of real time, since the kernels of both homes count them.
    await new Promise((resolve) => setTimeout(resolve, 5000))
    await world.lab.outageEnds('router', 'wan')
    await expect.poll(async () => home2.ping(home.peerId), { timeout: 20_000 }).toBeGreaterThanOrEqual(0)
    expect(await home2.connections(home.peerId)).toMatchObject([{ limited: false }])
  })
})

describe.skipIf(!support.ok)(`two homes with IPv6 or with a second network${skipped}`, { timeout: 90_000 }, () => {
  it('two homes with IPv6 only and firewalls connect directly', async () => {
    const node = { listen: ['/ip6/::/tcp/4001'] }
    await using homes = await openNodes(ipv6Homes, { family: 6, node })
    const { home, home2 } = homes
    await homes.dialThroughRelay()
    expect(await homes.outcomes()).toMatchObject([direct, direct])
    expect(await settled(home2, home.peerId)).toEqual([expect.stringMatching(/^\/ip6\/2a00:1::2\/tcp\/\d+$/)])
    expect(await settled(home, home2.peerId)).toEqual([expect.stringMatching(/^\/ip6\/2a00:2::2\/tcp\/\d+$/)])
    expect(await home.ping(home2.peerId)).toBeGreaterThanOrEqual(0)
  })

  it('two homes connect directly again when one has moved to another network', async () => {
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
    // The js-libp2p relay also needs time to notice that the previous connection is dead.
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

describe.skipIf(!support.ok)(`a mapped home${skipped}`, { timeout: 60_000 }, () => {
  it('a mapped home is dialled at its mapped address by either side, even from behind a symmetric NAT', async () => {
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

  it('a mapped home that listens for QUIC only is dialled with QUIC', async () => {
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
