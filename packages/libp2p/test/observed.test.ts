import { type Topology, type TopologyName, withRouter } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { startNode } from './support/nodes.js'
import { openWorld, skipped, support } from './support/world.js'

const forwarded5001 = withRouter('forwarded', {
  portForwards: [{ externalPort: 5001, address: '192.168.1.2', internalPort: 4001 }]
})

describe.skipIf(!support.ok)(`a port that is open without a mapping service${skipped}`, { timeout: 60_000 }, () => {
  it.each(['cloud', 'dmz', 'forwarded'] as const)('a node in the topology %s is verified and dialled', async (name) => {
    await using world = await openWorld(name)
    await using home = await world.startHome()
    const { external } = await home.until(({ event }) => event === 'verified')
    await home.until(({ event, verdict }) => event === 'verdict' && verdict === 'public')
    const { address, port } = external as { readonly address: string; readonly port: number }
    expect(port).toBe(4001)
    const text = `/ip4/${address}/tcp/${port}`
    expect((await home.report()).externalAddresses).toContain(text)
    await home.until(({ event, addresses }) => event === 'addresses' && String(addresses).includes(text))
    const verifiedAt = home.said.findIndex(({ event }) => event === 'verified')
    expect(
      home.said.findIndex(({ event, addresses }) => event === 'addresses' && String(addresses).includes(text))
    ).toBeGreaterThan(verifiedAt)
    await using outsider = await startNode(world.lab, 'outsider', {})
    expect(await outsider.dial(`${text}/p2p/${home.peerId}`)).toMatchObject({ direct: true })
  })

  it('a port that is forwarded under another number is found after a peer has dialled it', async () => {
    await using world = await openWorld(forwarded5001)
    await using home = await world.startHome()
    await home.until(({ event, verdict }) => event === 'verdict' && verdict === 'relayed')
    await using outsider = await startNode(world.lab, 'outsider', {})
    await outsider.dial(`/ip4/11.0.0.2/tcp/5001/p2p/${home.peerId}`)
    expect(await home.until(({ event }) => event === 'verified')).toMatchObject({
      external: { address: '11.0.0.2', port: 5001 },
      internal: { address: '192.168.1.2', port: 4001 }
    })
    expect((await home.report()).externalAddresses).toContain('/ip4/11.0.0.2/tcp/5001')
  })

  it.each<TopologyName | Topology>(['symmetric', 'no-daemon', 'carrier-nat', 'full-cone'])(
    'a node in the topology %s announces no observed address',
    async (topology) => {
      await using world = await openWorld(topology)
      await using home = await world.startHome()
      const observed = async () => (await home.report()).candidates.find(({ type }) => type === 'observed')?.state
      await expect.poll(observed, { timeout: 30_000 }).toBe('refuted')
      expect((await home.report()).verdict).toBe('relayed')
      expect(home.said.some(({ event }) => event === 'verified')).toBe(false)
      const { externalAddresses } = await home.report()
      expect(externalAddresses.every((each) => each.includes('p2p-circuit'))).toBe(true)
      const announced = home.said.flatMap(({ event, addresses }) => (event === 'addresses' ? [String(addresses)] : []))
      expect(announced.join().replaceAll(/[^,]*p2p-circuit[^,]*/g, '')).not.toMatch(/\/ip4\/1[12]\./)
    }
  )
})
