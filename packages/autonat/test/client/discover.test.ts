import { isGlobal } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { type AutonatOptions, autonat } from '../../src/index.js'
import { protocolV1 } from '../../src/wire/v1.js'
import { dialBackProtocol, dialRequestProtocol } from '../../src/wire/v2.js'
import { watchedClock } from '../support/fakes.js'
import { anywhere, goAgent, hostOf, isAbsent, isGone, type Node, nowhere, search, startNode } from '../support/nodes.js'

async function startPeer(protocol: string = dialRequestProtocol, options: object = {}): Promise<Node> {
  const peer = await startNode({ agent: goAgent, ...options })
  await peer.libp2p.handle(protocol, async (stream) => stream.close())
  return peer
}

const until = async (node: Node, type: 'peer:identify' | 'peer:connect' | 'connection:open'): Promise<void> =>
  new Promise((resolve) => {
    node.libp2p.addEventListener(type, () => resolve(), { once: true })
  })

describe('discover', () => {
  it('discover finds peers that are connected', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const identified = until(node, 'peer:identify')
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    await identified
    const looking = search(node.components)
    expect(await looking.witness()).toMatchObject({ kind: 'witness', party: { id: peer.id, network: '127.0.0.0/16' } })
    expect(looking.findings).toHaveLength(1)
  })

  it('discover reports that there is no peer, and then finds peers that connect from either side', async () => {
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

  it('discover does not find a peer that speaks neither version', async () => {
    const [node, mute, peer] = await Promise.all([startNode(), startNode(), startPeer()])
    const looking = search(node.components)
    await node.libp2p.dial(mute.libp2p.getMultiaddrs())
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    await looking.witness(peer.id)
    expect(looking.witnesses()).toHaveLength(1)
  })

  it('discover does not find a peer at an address that may not be asked, by default loopback', async () => {
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

  it('discover finds a peer when it begins to speak the protocol', async () => {
    const [node, peer] = await Promise.all([startNode(), startNode()])
    const looking = search(node.components)
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    await peer.libp2p.handle(dialRequestProtocol, () => undefined)
    await looking.witness(peer.id)
  })

  it('discover finds a peer again when it begins to speak version 2', async () => {
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

describe('a lost witness', () => {
  it('a witness is gone when its last connection is closed', async () => {
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

  it('a witness is gone when it no longer speaks the protocol', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const looking = search(node.components)
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    const witness = await looking.witness()
    await node.components.peerStore.patch(peer.libp2p.peerId, { protocols: ['/ipfs/id/1.0.0'] })
    expect((await looking.finding(isGone)).about).toBe(witness)
  })

  it('a witness is gone when it turns out not to speak the protocol', async () => {
    const [node, peer] = await Promise.all([startNode(), startPeer()])
    const looking = search(node.components)
    await node.libp2p.dial(peer.libp2p.getMultiaddrs())
    const witness = await looking.witness()
    const { components } = peer
    // Without an identify push.
    components.registrar.getProtocols = () => []
    const evidence = await witness.verify(node.plain, { signal: new AbortController().signal })
    expect(evidence).toMatchObject({ outcome: 'inconclusive', reason: { code: 'UNSUPPORTED' } })
    expect((await looking.finding(isGone)).about).toBe(witness)
    // The peer opens such a stream itself, and libp2p then records the protocol for it.
    await node.components.peerStore.merge(peer.libp2p.peerId, { protocols: [protocolV1] })
    expect(looking.witnesses()).toHaveLength(1)
  })
})

describe('a named peer', () => {
  it('a named peer is dialled, and dialled again when the connection is lost', async () => {
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

  it('a named peer that cannot be reached is dialled again with growing delays', async () => {
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

  it('a named peer has a tag against pruning until the discovery ends', async () => {
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
  ])('autonat() throws a TypeError for %j', (options) => {
    expect(() => autonat(options)).toThrow(TypeError)
  })
})

describe('the end of a discovery', () => {
  it('the end of a discovery leaves no handler, no listener and no timer', async () => {
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

  it('the end of a discovery lets the next one begin immediately', async () => {
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

  it('discover does nothing with an aborted signal', async () => {
    const node = await startNode()
    const found: unknown[] = []
    await autonat()(hostOf(node.components)).discover(nowhere, (each) => found.push(each), {
      signal: AbortSignal.abort()
    })
    expect(found).toEqual([])
    expect(node.components.registrar.getProtocols()).not.toContain(dialBackProtocol)
  })
})

it('discover names the other service if one handles dial backs', async () => {
  const node = await startNode()
  await node.libp2p.handle(dialBackProtocol, () => undefined)
  const { done } = search(node.components)
  await expect(done).rejects.toThrow(TypeError)
  await expect(done).rejects.toThrow(/@libp2p\/autonat-v2/)
  expect(node.components.registrar.getProtocols()).toContain(dialBackProtocol)
})
