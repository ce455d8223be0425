import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { relay, screenedCircuit } from '../../src/index.js'
import { grant, inAnHour, startHop } from '../support/hop.js'
import { hostOf, type NodeOptions, type Parts, startNode, until } from '../support/nodes.js'

const stopProtocol = '/libp2p/circuit/relay/0.2.0/stop'

/** Options of a node with a strategy that is created with the node, as `natTraversal()` does. */
const withStrategy = (): NodeOptions => ({
  circuit: circuitRelayTransport(),
  services: {
    nat: (components: Parts) => {
      relay()(hostOf(components))
      return {}
    }
  }
})

describe('STOP from a peer that is not a relay of the node', () => {
  it.each([
    ['the strategy', withStrategy],
    ['screenedCircuit()', (): NodeOptions => ({ circuit: screenedCircuit(circuitRelayTransport()) })]
  ])('%s resets STOP, requests no reservation, and announces nothing', async (_, options) => {
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

  it('circuitRelayTransport() alone requests a reservation at such a peer', async () => {
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
