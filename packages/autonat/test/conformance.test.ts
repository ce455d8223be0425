import { conformance, type World } from '@postern/conformance'
import type { Strategy } from '@postern/interface'
import { systemClock } from '@postern/testkit'
import { describe, it } from 'vitest'
import { type AutonatServer, type AutonatServerComponents, autonat, autonatServer } from '../src/index.js'
import { dialRequestProtocol } from '../src/wire/v2.js'
import { anywhere, createNode, hostOf, type Node, nowhere } from './support/nodes.js'

interface LivingWorld extends World {
  readonly node: Node
}

/** All worlds share one server, since a witness is identified by its peer id. */
const { libp2p, components } = await createNode()
const { privateKey } = components
await libp2p.stop()

/** Rules that libp2p itself does not satisfy. */
const exceptions: Readonly<Record<string, string>> = {
  'uses-the-random-of-the-host': 'the locks of the peer store of libp2p have their names from Math.random'
}

/** A node that is connected to a server, in real time. */
async function world(): Promise<LivingWorld> {
  const servers: AutonatServer[] = []
  const service = (parts: AutonatServerComponents): AutonatServer => {
    const made = autonatServer({ mayDial: anywhere })(parts)
    servers.push(made)
    return made
  }
  const [node, server] = await Promise.all([createNode(), createNode({ services: { autonat: service }, privateKey })])
  await node.libp2p.dial(server.libp2p.getMultiaddrs())
  const handler = server.components.registrar.getHandler(dialRequestProtocol)
  const replace = async (answer: typeof handler.handler): Promise<void> =>
    server.libp2p.handle(dialRequestProtocol, answer, { force: true })
  return {
    node,
    clock: systemClock,
    network: nowhere,
    address: node.plain,
    requests: () => servers.reduce((sum, { counters }) => sum + counters.requests, 0),
    changes: () => servers.reduce((sum, { counters }) => sum + counters.dials, 0),
    openHandles: () => node.components.registrar.getProtocols().filter((each) => each.includes('autonat')).length,
    faults: {
      silence: async () => replace(() => undefined),
      refuse: async () => replace(async (stream) => stream.abort(new Error('no')))
    },
    async close() {
      await Promise.all([node.libp2p.stop(), server.libp2p.stop()])
    }
  }
}

const subject = {
  world,
  create: ({ node }: LivingWorld): Strategy => {
    const strategy = autonat({ mayAsk: anywhere, mayVerify: anywhere })
    return (host) => strategy({ ...hostOf(node.components), ...host })
  }
}

describe('the strategy contract', async () => {
  for (const { id, name, skip: missing, run } of await conformance(subject)) {
    const skip = missing ?? exceptions[id]
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, run)
  }
})
