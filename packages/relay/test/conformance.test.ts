import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { conformance, type World } from '@postern/conformance'
import type { MultiaddrText, Strategy } from '@postern/interface'
import { systemClock } from '@postern/testkit'
import { describe, it } from 'vitest'
import { relay } from '../src/index.js'
import { hopProtocol } from '../src/wire/hop.js'
import { createNode, hostOf, type Node, nowhere, streamsOf } from './support/nodes.js'

interface LivingWorld extends World {
  readonly node: Node
  readonly relay: MultiaddrText
}

/** All worlds share one relay, since a relay is identified by its peer id. */
const { libp2p, components } = await createNode()
const { privateKey } = components
await libp2p.stop()

/** Rules that libp2p itself does not satisfy. */
const exceptions: Readonly<Record<string, string>> = {
  'uses-the-random-of-the-host': 'the locks of the peer store of libp2p have their names from Math.random'
}

/** A node that is connected to a relay, in real time. */
async function world(): Promise<LivingWorld> {
  const [node, server] = await Promise.all([
    createNode(),
    createNode({ listen: ['/ip4/127.0.0.1/tcp/0'], services: { relay: circuitRelayServer() }, privateKey })
  ])
  await node.libp2p.dial(server.libp2p.getMultiaddrs())
  let requests = 0
  const { handler } = server.components.registrar.getHandler(hopProtocol)
  const replace = async (answer: typeof handler): Promise<void> =>
    server.libp2p.handle(
      hopProtocol,
      (stream, connection) => {
        requests++
        return answer(stream, connection)
      },
      { force: true }
    )
  await replace(handler)
  return {
    node,
    relay: server.address,
    clock: systemClock,
    network: nowhere,
    requests: () => requests,
    changes: () => requests,
    openHandles: () => streamsOf(node),
    faults: {
      silence: async () => replace(() => undefined),
      refuse: async () => replace((stream) => stream.abort(new Error('no')))
    },
    async close() {
      for (const each of node.libp2p.getConnections()) each.abort(new Error('the test is over'))
      await Promise.all([node.libp2p.stop(), server.libp2p.stop()])
    }
  }
}

const subject = {
  world,
  create: ({ node, relay: address }: LivingWorld): Strategy => {
    const strategy = relay({ relays: [address], discover: false })
    return (host) => strategy({ ...hostOf(node.components), ...host })
  }
}

describe('the strategy contract', async () => {
  for (const { id, name, skip: missing, run } of await conformance(subject)) {
    const skip = missing ?? exceptions[id]
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, { timeout: 60_000 }, run)
  }
})
