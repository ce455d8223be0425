import { describe, expect, it } from 'vitest'
import {
  type AutonatServer,
  type AutonatServerComponents,
  type AutonatServerInit,
  autonatServer
} from '../src/index.js'
import { anywhere, call, type Node, search, startNode } from './support/nodes.js'

async function startServer(init: AutonatServerInit = {}): Promise<Node & { readonly server: AutonatServer }> {
  const made: AutonatServer[] = []
  const autonat = (components: AutonatServerComponents): AutonatServer => {
    const server = autonatServer({ mayDial: anywhere, ...init })(components)
    made.push(server)
    return server
  }
  const node = await startNode({ services: { autonat } })
  const [server] = made
  if (server === undefined) throw new Error('no server')
  return { ...node, server }
}

describe('autonat() and autonatServer()', () => {
  it('the client and the server find an address reachable', async () => {
    const server = await startServer()
    const node = await startNode()
    await node.libp2p.dial(server.libp2p.getMultiaddrs())
    const witness = await search(node.components).witness()
    expect(witness.party).toEqual({ id: server.id, network: '127.0.0.0/16' })
    expect(await witness.verify(node.plain, call())).toEqual({ outcome: 'reachable' })
    expect(server.server.counters).toMatchObject({ requests: 1, dials: 1, reached: 1 })
  })

  it('the client and the server find an address without a listener unreachable', async () => {
    const server = await startServer()
    const node = await startNode()
    await node.libp2p.dial(server.libp2p.getMultiaddrs())
    const witness = await search(node.components).witness()
    expect(await witness.verify('/ip4/127.0.0.1/tcp/1', call())).toEqual({ outcome: 'unreachable' })
  })
})
