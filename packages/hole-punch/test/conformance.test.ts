import { multiaddr } from '@multiformats/multiaddr'
import { conformance, type World } from '@postern/conformance'
import type { Strategy } from '@postern/interface'
import { systemClock } from '@postern/testkit'
import { describe, it } from 'vitest'
import { holePunch } from '../src/index.js'
import { createNode, hostOf, type Node, nowhere, stopNodes } from './nodes.js'

interface LivingWorld extends World {
  readonly node: Node
}

/** Rules that libp2p itself does not satisfy. */
const exceptions: Readonly<Record<string, string>> = {
  'uses-the-random-of-the-host': 'the locks of the peer store of libp2p have their names from Math.random'
}

/** A node that is connected to a peer, in real time. */
async function world(): Promise<LivingWorld> {
  const [node, peer] = await Promise.all([createNode(), createNode()])
  await node.libp2p.dial(multiaddr(peer.address))
  return {
    node,
    clock: systemClock,
    network: nowhere,
    peerId: peer.id,
    close: () => stopNodes(node, peer)
  }
}

const subject = {
  world,
  create: ({ node }: LivingWorld): Strategy => {
    const strategy = holePunch()
    return (host) => strategy({ ...hostOf(node.components), ...host })
  }
}

describe('the strategy contract', async () => {
  for (const { id, name, skip: missing, run } of await conformance(subject)) {
    const skip = missing ?? exceptions[id]
    it.skipIf(skip !== undefined)(`${id}: ${skip ?? name}`, { timeout: 60_000 }, run)
  }
})
