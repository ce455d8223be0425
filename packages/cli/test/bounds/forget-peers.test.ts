import { identify } from '@libp2p/identify'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { expect, it, onTestFinished } from 'vitest'
import { type ForgetPeers, forgetPeers } from '../../src/bounds/forget-peers.js'

async function open<T extends Record<string, unknown>>(options: Libp2pOptions<T>): Promise<Libp2p<T>> {
  const node = await createLibp2p<T>({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    ...options
  })
  onTestFinished(async () => node.stop())
  return node
}

const server = (isKept: (peer: PeerId) => boolean = () => false): Promise<Libp2p<{ forgetPeers: ForgetPeers }>> =>
  open({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    peerStore: { addressFilter: () => false },
    services: { identify: identify(), forgetPeers: forgetPeers({ isKept }) }
  })

const identified = (node: Libp2p, peer: PeerId): Promise<void> =>
  new Promise((resolve) =>
    node.addEventListener('peer:identify', ({ detail }) => {
      if (detail.peerId.equals(peer)) resolve()
    })
  )

async function visit(node: Libp2p, count: number): Promise<readonly PeerId[]> {
  const visitors: PeerId[] = []
  for (let index = 0; index < count; index++) {
    const visitor = await open({ services: { identify: identify() } })
    const known = identified(node, visitor.peerId)
    await visitor.dial(node.getMultiaddrs())
    await known
    visitors.push(visitor.peerId)
    await visitor.stop()
  }
  return visitors
}

const knownTo = async (node: Libp2p): Promise<readonly string[]> =>
  (await node.peerStore.all()).map(({ id }) => id.toString()).filter((each) => each !== node.peerId.toString())

it('forgetPeers removes a disconnected peer from the peer store', async () => {
  const node = await server()
  await visit(node, 3)
  await expect.poll(() => knownTo(node)).toEqual([])
  expect(node.services.forgetPeers.forgotten).toBeGreaterThanOrEqual(3)
})

it('forgetPeers removes data that arrives after the disconnect', async () => {
  const node = await server()
  const [gone] = await visit(node, 1)
  if (gone === undefined) throw new Error('nothing came')
  await expect.poll(() => knownTo(node)).toEqual([])
  await node.peerStore.merge(gone, { metadata: { AgentVersion: new Uint8Array(8192) } })
  await expect.poll(() => knownTo(node)).toEqual([])
})

it('forgetPeers keeps a peer that is needed', async () => {
  const kept = new Set<string>()
  const node = await server((peer) => kept.has(peer.toString()))
  const stays = await open({ services: { identify: identify() } })
  kept.add(stays.peerId.toString())
  const known = identified(node, stays.peerId)
  await stays.dial(node.getMultiaddrs())
  await known
  await stays.stop()
  await visit(node, 1)
  await expect.poll(() => knownTo(node)).toEqual([stays.peerId.toString()])
})

it('forgetPeers keeps an address that is learnt before the dial', async () => {
  const [node, relay] = await Promise.all([
    open({ services: { identify: identify(), forgetPeers: forgetPeers() } }),
    open({ addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] } })
  ])
  // Like the circuit transport with the relay of an address.
  await node.peerStore.merge(relay.peerId, { multiaddrs: relay.getMultiaddrs() })
  await new Promise((go) => setImmediate(go))
  expect((await node.dial(relay.peerId)).remotePeer.equals(relay.peerId)).toBe(true)
})
