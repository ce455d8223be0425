import { uPnPNAT } from '@libp2p/upnp-nat'
import { canRunLab, openLab, type TopologyName } from '@postern/lab'
import { expect, it } from 'vitest'
import { portMappingClient } from '../src/index.js'
import { startNode } from './support/nodes.js'

const lab = await canRunLab()

it('is what uPnPNAT() takes', () => {
  expect(uPnPNAT({ portMappingClient: portMappingClient() })).toBeTypeOf('function')
})

it.skipIf(!lab.ok).each(['home', 'home-pcp', 'home-nat-pmp', 'home-igd1'] satisfies TopologyName[])(
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
