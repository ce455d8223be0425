import { getEventListeners } from 'node:events'
import { uPnPNAT } from '@libp2p/upnp-nat'
import { canRunLab, openLab, type TopologyName } from '@postern/lab'
import { natPmp } from '@postern/nat-pmp'
import { createGateway, memoryNetwork, type VirtualClock, virtualClock } from '@postern/testkit'
import { expect, it } from 'vitest'
import { portMappingClient } from '../src/index.js'
import { startNode } from './support/nodes.js'

const lab = await canRunLab()

/** Advances virtual time until the work is done. */
async function advanceUntil<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let isOver = false
  const over = work.finally(() => (isOver = true))
  over.catch(() => undefined)
  while (!isOver) await clock.advance(50)
  return over
}

it('uPnPNAT() accepts portMappingClient()', () => {
  expect(uPnPNAT({ portMappingClient: portMappingClient() })).toBeTypeOf('function')
})

it
  .skipIf(!lab.ok)
  .each(['home', 'home-pcp', 'home-nat-pmp', 'home-igd1', 'double-nat-mapped'] satisfies TopologyName[])(
  `maps for @libp2p/upnp-nat behind %s, and deletes it at the end${lab.ok ? '' : ` (${lab.reason})`}`,
  { timeout: 60_000 },
  async (topology) => {
    await using router = await openLab(topology)
    await using node = await startNode(router, 'home', {
      listen: ['/ip4/0.0.0.0/tcp/4001'],
      upnpNat: { autoConfirmAddress: true }
    })
    const address = `/ip4/11.0.0.2/tcp/4001/p2p/${node.peerId}`
    await node.until(({ event, addresses }) => event === 'addresses' && (addresses as string[]).includes(address))
    expect(await router.rules()).toMatchObject([
      { protocol: 'tcp', externalPort: 4001, internalAddress: '192.168.1.2', internalPort: 4001 }
    ])
    await node.stop()
    expect(await router.rules()).toEqual([])
  }
)

it('a gateway renews a mapping, returns the same mapping for a second call, and unmaps it', async () => {
  const clock = virtualClock()
  const network = memoryNetwork({ clock })
  const router = createGateway({ clock, protocols: ['nat-pmp'] })
  network.attach(router, '192.168.1.1')
  const { openUdp } = network.host('192.168.1.2')
  const gateways = [{ address: '192.168.1.1', interface: 'eth0', localAddress: '192.168.1.2' }]
  const client = portMappingClient({
    strategies: [natPmp({ openUdp })],
    host: { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } },
    findNetwork: async () => ({ gateways, addresses: ['192.168.1.2'] })
  })
  const done = <T>(work: Promise<T>): Promise<T> => advanceUntil(clock, work)

  const { value: gateway } = await done(client.findGateways().next())
  if (gateway === undefined) throw new Error('no gateway')
  expect(gateway).toMatchObject({ id: '192.168.1.1%eth0', host: '192.168.1.1', family: 'IPv4' })
  const { signal } = new AbortController()
  const external = await done(gateway.externalIp({ signal }))
  expect(router.mappings).toEqual([])

  const mapping = await done(gateway.map(4001, '192.168.1.2', { protocol: 'TCP' }))
  expect(mapping).toEqual({
    externalHost: external,
    externalPort: 4001,
    internalHost: '192.168.1.2',
    internalPort: 4001,
    protocol: 'TCP'
  })
  expect(await done(gateway.map(4001, '192.168.1.2', { signal }))).toEqual(mapping)
  // The signals of libp2p may live as long as the node.
  expect(getEventListeners(signal, 'abort')).toEqual([])
  await clock.advance(24 * 3_600_000)
  expect(router.mappings).toMatchObject([{ protocol: 'tcp', externalPort: 4001, internalPort: 4001 }])
  expect(router.violations).toEqual([])

  await done(gateway.map(4002, '192.168.1.2', { protocol: 'udp' }))
  await done(gateway.unmap(4001))
  expect(router.mappings).toMatchObject([{ protocol: 'udp', internalPort: 4002 }])
  await done(gateway.stop())
  expect(router.mappings).toEqual([])
  expect(clock.pending).toBe(0)
})

it('map rejects with the reason if no router maps ports, and leaves nothing running', async () => {
  const clock = virtualClock()
  const client = portMappingClient({
    strategies: [],
    host: { clock, random: () => 0.5, log: { debug: () => undefined, info: () => undefined } },
    findNetwork: async () => ({ gateways: [], addresses: [] })
  })
  expect(await advanceUntil(clock, client.findGateways().next())).toMatchObject({ done: true })
  const rejected = advanceUntil(clock, client.getGateway(new URL('http://192.168.1.1/')))
  await expect(rejected).rejects.toThrow('no router of this network maps ports')
  expect(clock.pending).toBe(0)
})
