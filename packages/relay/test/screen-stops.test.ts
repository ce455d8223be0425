import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { relay, screenedCircuit } from '../src/index.js'
import { grant, inAnHour, startHop } from './hop.js'
import { hostOf, type NodeOptions, type Parts, startNode, until } from './nodes.js'

const stopProtocol = '/libp2p/circuit/relay/0.2.0/stop'

/** A node with the strategy, which is made with the node, as `natTraversal()` makes it. */
const withStrategy = (): NodeOptions => ({
  circuit: circuitRelayTransport(),
  services: {
    nat: (components: Parts) => {
      relay()(hostOf(components))
      return {}
    }
  }
})

describe('a stranger that asks for a connection to a node', () => {
  it.each([
    ['with the strategy', withStrategy],
    ['without it', (): NodeOptions => ({ circuit: screenedCircuit(circuitRelayTransport()) })]
  ])('%s is reset, is asked for no reservation, and is not announced', async (_, options) => {
    const stranger = await startHop(async ({ say }) => say(grant(inAnHour(), ['/ip4/93.184.216.34/tcp/80'])))
    const node = await startNode({ listen: ['/ip4/127.0.0.1/tcp/0'], ...options() })
    const connection = await stranger.libp2p.dial(multiaddr(node.address))
    for (let times = 0; times < 2; times++) {
      const stream = await connection.newStream(stopProtocol)
      await until(() => stream.status !== 'open')
      expect(stream.status).toBe('reset')
    }
    expect(stranger.asked()).toBe(0)
    expect(node.circuits()).toEqual([])
  })

  it('is asked for one by a transport that nothing screens', async () => {
    const stranger = await startHop(async ({ say }) => say(grant(inAnHour())))
    const node = await startNode({ listen: ['/ip4/127.0.0.1/tcp/0'], circuit: circuitRelayTransport() })
    const connection = await stranger.libp2p.dial(multiaddr(node.address))
    await connection.newStream(stopProtocol)
    await until(() => stranger.asked() === 1)
  })
})

it('screenedCircuit() throws a TypeError for another transport', async () => {
  await expect(
    startNode({ circuit: screenedCircuit(tcp()) as ReturnType<typeof circuitRelayTransport> })
  ).rejects.toThrow(new TypeError('screenedCircuit() needs circuitRelayTransport()'))
})
