import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { call, dial, isGone, isRelay, pair, search, startNode, startRelay, streamsOf, until } from './support/nodes.js'

describe('a reservation', () => {
  it('a reservation is announced, and a peer connects through the relay', async () => {
    const { relay, node, ability } = await pair()
    expect(ability.party).toMatchObject({ id: relay.id, network: '127.0.0.0/16' })
    const lease = await ability.reserve(call())
    expect(lease.addresses).toEqual([`${relay.address}/p2p-circuit`])
    expect(lease.lifetimeMs).toBeGreaterThan(7_100_000)
    expect(lease.lifetimeMs).toBeLessThanOrEqual(7_200_000)
    expect(lease.limits).toEqual({ durationMs: 120_000, bytes: 131_072 })
    expect(node.circuits()).toEqual([`${lease.addresses[0]}/p2p/${node.id}`])
    expect(relay.reserved()).toEqual([node.id])
    const third = await startNode()
    expect(await dial(third, node.circuits()[0] ?? '')).toBe('relayed')
    expect(streamsOf(node)).toBe(1)
  })

  it('a reservation is renewed at the relay', async () => {
    const { relay, node, ability } = await pair({ server: { reservations: { reservationTtl: 60_000 } } })
    const lease = await ability.reserve(call())
    relay.forget(node)
    const renewed = await lease.renew(call())
    expect(renewed.addresses).toEqual(lease.addresses)
    expect(relay.reserved()).toEqual([node.id])
    expect(streamsOf(node)).toBe(0)
    const third = await startNode()
    expect(await dial(third, node.circuits()[0] ?? '')).toBe('relayed')
  })

  it('release is idempotent and leaves nothing behind', async () => {
    const { relay, node, ability } = await pair()
    const lease = await ability.reserve(call())
    await Promise.all([lease.release(call()), lease.release(call())])
    expect(node.circuits()).toEqual([])
    expect(node.components.transportManager.getListeners().flatMap((each) => each.getAddrs())).toEqual([])
    const { tags } = await node.components.peerStore.get(relay.libp2p.peerId)
    expect([...tags.keys()].filter((tag) => tag.includes('relay'))).toEqual([])
    await expect(lease.renew(call())).rejects.toMatchObject({ code: 'NO_REPLY' })
    expect(node.circuits()).toEqual([])
  })

  it('a reservation after a release reuses the existing listener', async () => {
    const { node, ability } = await pair()
    for (let times = 0; times < 3; times++) {
      const lease = await ability.reserve(call())
      expect(node.circuits()).toHaveLength(1)
      await lease.release(call())
      expect(node.circuits()).toEqual([])
    }
    expect(node.components.transportManager.getListeners()).toHaveLength(1)
  })

  it('a reservation stays announced, accepted and renewed when another one is released', async () => {
    const [one, other, node] = await Promise.all([startRelay(), startRelay({ host: '127.1.0.1' }), startNode()])
    for (const each of [one, other]) await node.libp2p.dial(multiaddr(each.address))
    const looking = search(node.components)
    const [first, second] = await Promise.all([
      looking.relay(one).then(async (each) => each.reserve(call())),
      looking.relay(other).then(async (each) => each.reserve(call()))
    ])
    expect(node.circuits()).toHaveLength(2)
    other.forget(node)
    await first.release(call())
    expect(node.circuits()).toEqual(node.circuits(other))
    expect(node.circuits(other)).toHaveLength(1)
    // The transport has the reservation in its store again, so it renews it and notices its loss.
    expect(other.reserved()).toEqual([node.id])
    other.forget(node)
    const renewed = await second.renew(call())
    expect(other.reserved()).toEqual([node.id])
    expect(await dial(await startNode(), node.circuits(other)[0] ?? '')).toBe('relayed')
    await renewed.release(call())
    expect(node.circuits()).toEqual([])
  })

  it('a reservation stays when another relay is lost', async () => {
    const [one, other, node] = await Promise.all([startRelay(), startRelay({ host: '127.1.0.1' }), startNode()])
    for (const each of [one, other]) await node.libp2p.dial(multiaddr(each.address))
    const looking = search(node.components)
    const [first] = await Promise.all([
      looking.relay(one).then(async (each) => each.reserve(call())),
      looking.relay(other).then(async (each) => each.reserve(call()))
    ])
    await one.libp2p.stop()
    const gone = await looking.finding(isGone)
    expect(gone.about).toMatchObject({ party: { id: one.id } })
    await first.release(call())
    expect(node.circuits()).toEqual(node.circuits(other))
    expect(node.circuits(other)).toHaveLength(1)
  })

  it('a released reservation that the relay still holds admits peers but is not announced', async () => {
    const { relay, node, ability } = await pair()
    search(node.components)
    const lease = await ability.reserve(call())
    const [address = ''] = node.circuits()
    await lease.release(call())
    for (let times = 0; times < 3; times++) {
      const third = await startNode()
      expect(await dial(third, address)).toBe('relayed')
      await until(() => node.circuits().length === 0)
    }
    // One request of ours, and one that the transport made for the first peer that connected.
    expect(node.components.transportManager.getListeners()).toHaveLength(2)
    const again = await ability.reserve(call())
    expect(again.addresses).toEqual([`${relay.address}/p2p-circuit`])
    expect(node.circuits()).toEqual([address])
    await again.release(call())
    expect(node.circuits()).toEqual([])
  })

  it('a reservation survives the end of another connection to the relay', async () => {
    const { relay, node, looking, ability } = await pair()
    const lease = await ability.reserve(call())
    const second = await node.libp2p.dial(multiaddr(relay.address), { force: true })
    await second.close()
    expect(node.circuits()).toHaveLength(1)
    expect(looking.findings.filter(isGone)).toEqual([])
    await lease.renew(call())
  })

  it('a reservation ends with its own connection, and the relay is found again over another one', async () => {
    const { relay, node, looking, ability } = await pair()
    const lease = await ability.reserve(call())
    const [first] = node.libp2p.getConnections()
    await node.libp2p.dial(multiaddr(relay.address), { force: true })
    await first?.close()
    const gone = await looking.finding(isGone)
    expect(gone.about).toBe(ability)
    expect(node.circuits()).toEqual([])
    const again = await looking.finding(isRelay, looking.findings.indexOf(gone))
    // Like core: releases the lost lease and asks the relay that was found.
    const [, next] = await Promise.all([lease.release(call()), again.reserve(call())])
    expect(node.circuits()).toHaveLength(1)
    await next.renew(call())
    expect(node.circuits()).toHaveLength(1)
  })

  it('a reservation is not removed by another strategy on the same node', async () => {
    const { relay, node, ability } = await pair()
    const other = await search(node.components).relay(relay)
    const first = await ability.reserve(call())
    await first.release(call())
    const second = await other.reserve(call())
    expect(node.circuits()).toHaveLength(1)
    await second.renew(call())
    await first.release(call())
    expect(node.circuits()).toHaveLength(1)
  })

  it('a lease has no effect after a second reserve at the same relay', async () => {
    const { node, ability } = await pair()
    const before = await ability.reserve(call())
    const after = await ability.reserve(call())
    await before.release(call())
    expect(node.circuits()).toHaveLength(1)
    await after.release(call())
    expect(node.circuits()).toEqual([])
  })
})

describe('limits', () => {
  it('limits of 0 mean no limits', async () => {
    const { ability } = await pair({ server: { reservations: { applyDefaultLimit: false } } })
    expect((await ability.reserve(call())).limits).toBeUndefined()
  })
})
