import { describe, expect, it } from 'vitest'
import { startNode } from './support/nodes.js'
import { openWorld, skipped, support } from './support/world.js'

describe.skipIf(!support.ok)(`a libp2p node behind a real router${skipped}`, { timeout: 60_000 }, () => {
  it('a node is relayed, then verified, and dialled by a peer that knows only its announced addresses', async () => {
    await using world = await openWorld('home')
    await using home = await world.startHome()
    await home.until(({ event, addresses }) => event === 'addresses' && String(addresses).includes('/p2p-circuit'))
    await home.until(({ event, verdict }) => event === 'verdict' && verdict === 'public')
    const direct = `/ip4/11.0.0.2/tcp/4001/p2p/${home.peerId}`
    await home.until(({ event, addresses }) => event === 'addresses' && (addresses as string[]).includes(direct))
    // No unproven address was announced at any time.
    const announced = home.said.flatMap(({ event, addresses }) =>
      event === 'addresses' ? (addresses as string[]) : []
    )
    const verifiedAt = home.said.findIndex(({ event }) => event === 'verified')
    expect(
      home.said.findIndex(({ addresses }) => (addresses as string[] | undefined)?.includes(direct))
    ).toBeGreaterThan(verifiedAt)
    expect(new Set(announced.filter((address) => address.startsWith('/ip4/11.')))).toEqual(new Set([direct]))

    await using outsider = await startNode(world.lab, 'outsider', {})
    const public_ = (await home.addresses()).filter((address) => !/\/ip4\/(127|192)\./.test(address))
    for (const address of public_) {
      expect(await outsider.dial(address)).toMatchObject({ direct: !address.includes('p2p-circuit') })
    }
    const [candidate] = (await home.report()).candidates
    expect(candidate?.evidence.filter(({ outcome }) => outcome === 'reachable').length).toBeGreaterThanOrEqual(2)
    expect(new Set(candidate?.evidence.map(({ network }) => network)).size).toBe(candidate?.evidence.length)
  })

  it('a mapping that was created after all peers had connected is verified', async () => {
    await using world = await openWorld('home-pcp')
    await world.lab.stopDaemon()
    await using home = await world.startHome()
    await home.until(({ event, verdict }) => event === 'verdict' && verdict === 'relayed')
    expect(await home.peers()).toHaveLength(3)
    await world.lab.startDaemon()
    await home.until(({ event }) => event === 'verified')
    expect(await home.report()).toMatchObject({ verdict: 'public' })
  })

  it('a node releases its relays after it has been public for some time without an open circuit', async () => {
    await using world = await openWorld('home')
    await using home = await world.startHome({ nat: { policy: { relay: { releaseAfterPublicMs: 500 } } } })
    const isRelayed = ({ event, addresses }: { event?: string; addresses?: unknown }): boolean =>
      event === 'addresses' && String(addresses).includes('p2p-circuit')
    await home.until(isRelayed)
    await home.until(({ event }) => event === 'verified')
    await home.until(
      (line) => line.event === 'addresses' && !isRelayed(line) && String(line['addresses']).includes('/11.')
    )
    expect((await home.report()).externalAddresses).toEqual(['/ip4/11.0.0.2/tcp/4001'])
  })

  it('two nodes behind different routers reach each other', async () => {
    await using world = await openWorld('two-homes')
    await using one = await world.startHome()
    await using other = await world.startHome({}, 'home2')
    for (const node of [one, other]) await node.until(({ event }) => event === 'verified')
    expect(await one.dial(`/ip4/12.0.0.2/tcp/4001/p2p/${other.peerId}`)).toMatchObject({ direct: true })
    expect(await other.dial(`/ip4/11.0.0.2/tcp/4001/p2p/${one.peerId}`)).toMatchObject({ direct: true })
  })

  it('a node maps WebSockets and later listeners, and opens the firewall for IPv6', async () => {
    await using world = await openWorld('ipv6-firewall')
    await using home = await world.startHome({ listen: ['/ip4/0.0.0.0/tcp/4002/ws'] })
    const isVerified =
      (family: string) =>
      ({ event, external }: { event?: string; external?: unknown }): boolean =>
        event === 'verified' && (external as { address: string }).address.startsWith(family)
    await home.until(isVerified('11.'))
    expect((await home.report()).externalAddresses).toContain('/ip4/11.0.0.2/tcp/4002/ws')
    await home.listen('/ip6/::/tcp/4004')
    await home.until(isVerified('2a00:1:'))
    await home.listen('/ip4/0.0.0.0/tcp/4003')
    await home.until(({ event, external }) => event === 'verified' && (external as { port: number }).port === 4003)
    expect(await home.addresses()).toEqual(
      expect.arrayContaining([
        `/ip4/11.0.0.2/tcp/4002/ws/p2p/${home.peerId}`,
        `/ip4/11.0.0.2/tcp/4003/p2p/${home.peerId}`,
        `/ip6/2a00:1::2/tcp/4004/p2p/${home.peerId}`
      ])
    )
    await using outsider = await startNode(world.lab, 'outsider', {})
    expect(await outsider.dial(`/ip6/2a00:1::2/tcp/4004/p2p/${home.peerId}`)).toMatchObject({ direct: true })
  })

  it('a node stops without leaving a mapping, a reservation, a socket or a timer', async () => {
    await using world = await openWorld('home')
    await using bare = await startNode(world.lab, 'neighbour', { listen: ['/ip4/0.0.0.0/tcp/4001'] })
    await using home = await world.startHome()
    await home.until(({ event }) => event === 'verified')
    expect(await world.lab.rules()).toHaveLength(1)
    expect(await home.stop()).toEqual(await bare.stop())
    expect(await world.lab.rules()).toEqual([])
  })
})
