import { isGlobal } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { dialBackProtocol, dialRequestProtocol } from '../src/codec.js'
import { protocolV1 } from '../src/codec-v1.js'
import { autonat, type AutonatOptions } from '../src/index.js'
import { watchedClock } from './fakes.js'
import { anywhere, goAgent, hostOf, isAbsent, isGone, type Node, nowhere, search, startNode } from './nodes.js'

async function startPeer(protocol: string = dialRequestProtocol, options: object = {}): Promise<Node> {
  const peer = await startNode({ agent: goAgent, ...options })
  await peer.libp2p.handle(protocol, async (stream) => stream.close())
  return peer
}

const until = async (node: Node, type: 'peer:identify' | 'peer:connect' | 'connection:open'): Promise<void> =>
  new Promise((resolve) => {
    node.libp2p.addEventListener(type, () => resolve(), { once: true })
  })

describe('discover finds', () => {
  it('peers that are connected', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const identified = until(node, 'peer:identify')
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    await identified
    const looking = search(node.components)
    expect(await looking.witness()).toMatchObject({ kind: 'witness', party: { id: peer.id, network: '127.0.0.0/16' } })
    expect(looking.findings).toHaveLength(1)
  })

  it('peers that connect later, from either side, and says that there were none before', async () => {
    const [node, one, other] = await Promise.all([startNode(), startPeer(), startPeer(protocolV1)])
    const looking = search(node.components)
    const absent = await looking.finding(isAbsent)
    expect(absent).toMatchObject({ gateway: null, reason: { code: 'NO_SERVICE' } })
    await node.libp2p.dial(one.libp2p.getMultiaddrs())
    await other.libp2p.dial(node.libp2p.getMultiaddrs())
    await looking.witness(one.id)
    await looking.witness(other.id)
    expect(looking.witnesses()).toHaveLength(2)
  })

  it('no peer that speaks neither version', async () => {
    const [node, mute, peer] = await Promise.all([startNode(), startNode(), startPeer()])
    const looking = search(node.components)
    await node.libp2p.dial(mute.libp2p.getMultiaddrs())
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    await looking.witness(peer.id)
    expect(looking.witnesses()).toHaveLength(1)
  })

  it('no peer at an address that may not be asked, as the ones of loopback by default', async () => {
    const asked: string[] = []
    const mayAsk = (address: string): boolean => {
      asked.push(address)
      return isGlobal(address)
    }
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const looking = search(node.components, { mayAsk })
    await looking.finding(isAbsent)
    const identified = until(node, 'peer:identify')
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    await identified
    expect(looking.witnesses()).toEqual([])
    expect(new Set(asked)).toEqual(new Set(['127.0.0.1']))
  })

  it('the rest when a peer begins to speak the protocol', async () => {
    const [node, peer] = await Promise.all([startNode(), startNode()])
    const looking = search(node.components)
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    await peer.libp2p.handle(dialRequestProtocol, () => undefined)
    await looking.witness(peer.id)
  })

  it('a peer again, better, when it learns version 2', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer(protocolV1)])
    const looking = search(node.components)
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    const first = await looking.witness(peer.id)
    await node.components.peerStore.merge(peer.libp2p.peerId, { protocols: [dialRequestProtocol] })
    expect(looking.witnesses()).toHaveLength(2)
    expect(looking.witnesses()[1]).not.toBe(first)
    expect(looking.witnesses()[1]?.party).toEqual(first.party)
  })
})

describe('a witness is gone', () => {
  it('when its last connection is closed', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const looking = search(node.components)
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    const witness = await looking.witness()
    const second = await node.libp2p.dial(peer.libp2p.getMultiaddrs(), { force: true })
    await second.close()
    expect(looking.findings.filter(isGone)).toEqual([])
    await node.libp2p.hangUp(peer.libp2p.peerId)
    expect((await looking.finding(isGone)).about).toBe(witness)
  })

  it('when it no longer speaks the protocol', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const looking = search(node.components)
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    const witness = await looking.witness()
    await node.components.peerStore.patch(peer.libp2p.peerId, { protocols: ['/ipfs/id/1.0.0'] })
    expect((await looking.finding(isGone)).about).toBe(witness)
  })

  it('when it turns out not to speak the protocol', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const looking = search(node.components)
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    const witness = await looking.witness()
    const { components } = peer
    // Without a word to anybody.
    components.registrar.getProtocols = () => []
    const evidence = await witness.verify(node.plain, { signal: new AbortController().signal })
    expect(evidence).toMatchObject({ outcome: 'inconclusive', reason: { code: 'UNSUPPORTED' } })
    expect((await looking.finding(isGone)).about).toBe(witness)
    // It opens such a stream itself, and libp2p notes the protocol for it.
    await node.components.peerStore.merge(peer.libp2p.peerId, { protocols: [protocolV1] })
    expect(looking.witnesses()).toHaveLength(1)
  })
})

describe('a peer that was named', () => {
  it('is dialled, and again when the connection is lost', async () => {
    const time = watchedClock()
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const looking = search(node.components, { peers: [peer.address] }, time.clock)
    await looking.witness(peer.id)
    await node.libp2p.hangUp(peer.libp2p.peerId)
    await looking.finding(isGone)
    await time.asked(5_000)
    const again = until(node, 'peer:identify')
    await time.advance(5_000)
    await again
    expect(looking.witnesses()).toHaveLength(2)
  })

  it('that cannot be reached is tried again, ever less often', async () => {
    const time = watchedClock()
    const node = await startNode()
    const peer = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln' as const
    const looking = search(node.components, { peers: [peer] }, time.clock)
    for (const waitMs of [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
      await time.asked(waitMs)
      await time.advance(waitMs)
    }
    expect(looking.findings.map(({ kind }) => kind)).toEqual(['notice'])
    await looking.stop()
    expect(time.pending()).toBe(0)
  })

  it('has a tag, so that its connection is not the first to be pruned, until the end', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const looking = search(node.components, { peers: [peer.address] })
    await looking.witness(peer.id)
    const tags = async (): Promise<readonly string[]> => [
      ...(await node.components.peerStore.get(peer.libp2p.peerId)).tags.keys()
    ]
    expect(await tags()).toEqual(['postern-autonat'])
    await looking.stop()
    expect(await tags()).toEqual([])
    expect(node.libp2p.getConnections()).toHaveLength(1)
  })

  it.each<[AutonatOptions]>([
    [{ peers: ['/ip4/11.0.0.1/tcp/4001'] }],
    [{ peers: ['/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'] }],
    [{ peers: ['/nonsense/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'] }],
    [{ peers: ['/ip4/192.168.1.1/tcp/4001/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'] }],
    [{ peers: [5 as unknown as '/'] }],
    [{ peers: 'all' as unknown as [] }],
    [{ mayAsk: true as unknown as () => boolean }],
    [{ mayVerify: null as unknown as () => boolean }],
    [{ timeoutMs: 0 }],
    [{ timeoutMs: 100_000 }]
  ])('or anything else that cannot be right is a TypeError: %j', (options) => {
    expect(() => autonat(options)).toThrow(TypeError)
  })
})

describe('the end of a discovery', () => {
  it('leaves no handler, no listener and no timer', async () => {
    const time = watchedClock()
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const { events, registrar } = node.components
    const types = ['peer:identify', 'peer:update', 'connection:close', 'connection:open'] as const
    const counts = (): readonly number[] => types.map((type) => events.listenerCount(type))
    const before = counts()
    const looking = search(node.components, { peers: [peer.address] }, time.clock)
    await looking.witness()
    expect(counts()).not.toEqual(before)
    expect(registrar.getProtocols()).toContain(dialBackProtocol)
    await looking.stop()
    expect(counts()).toEqual(before)
    expect(registrar.getProtocols()).not.toContain(dialBackProtocol)
    expect(time.pending()).toBe(0)
  })

  it('lets the next begin at once', async () => {
    const node = await startNode()
    const strategy = autonat({ mayAsk: anywhere })
    const [first, second] = [new AbortController(), new AbortController()]
    const discovery = strategy(hostOf(node.components))
    const one = discovery.discover(nowhere, () => undefined, { signal: first.signal })
    expect(node.components.registrar.getProtocols()).toContain(dialBackProtocol)
    first.abort()
    const other = discovery.discover(nowhere, () => undefined, { signal: second.signal })
    await one
    expect(node.components.registrar.getProtocols()).toContain(dialBackProtocol)
    second.abort()
    await other
  })

  it('before the beginning does nothing', async () => {
    const node = await startNode()
    const found: unknown[] = []
    await autonat()(hostOf(node.components)).discover(nowhere, (each) => found.push(each), {
      signal: AbortSignal.abort()
    })
    expect(found).toEqual([])
    expect(node.components.registrar.getProtocols()).not.toContain(dialBackProtocol)
  })
})

it('discover says who is in the way where another service takes dial backs', async () => {
  const node = await startNode()
  await node.libp2p.handle(dialBackProtocol, () => undefined)
  const { done } = search(node.components)
  await expect(done).rejects.toThrow(TypeError)
  await expect(done).rejects.toThrow(/@libp2p\/autonat-v2/)
  expect(node.components.registrar.getProtocols()).toContain(dialBackProtocol)
})
