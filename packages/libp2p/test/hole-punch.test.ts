import { describe, expect, it } from 'vitest'
import type { LabNode } from './support/nodes.js'
import { openWorld, skipped, support, type World } from './support/world.js'

/** Nothing is mapped: what is direct was punched. */
const nat = (world: World) => ({
  strategies: [
    ['relay', { relays: world.peerAddresses.slice(0, 2) }],
    ['autonat', {}],
    ['hole-punch', {}]
  ] as const
})

const relayedAddress = async (node: LabNode): Promise<string> => {
  const { addresses } = await node.until(
    ({ event, addresses: all }) => event === 'addresses' && String(all).includes('/p2p-circuit')
  )
  return (addresses as string[]).find((each) => each.includes('/p2p-circuit')) ?? ''
}

describe.skipIf(!support.ok)(`two homes${skipped}`, () => {
  it('are connected directly as soon as one has dialled the other through a relay, and let the relay go', async () => {
    await using world = await openWorld('two-homes')
    const home = await world.startHome({ nat: nat(world) })
    const other = await world.startHome({ nat: nat(world) }, 'home2')
    const dialled = await other.dial(await relayedAddress(home))
    expect(dialled).toMatchObject({ limited: true })
    const line = await other.until(({ event, state }) => event === 'upgrade' && state === 'direct')
    const seen = await home.until(({ event, state }) => event === 'upgrade' && state === 'direct')
    console.log(
      other.said.filter(({ event }) => event === 'upgrade'),
      home.said.filter(({ event }) => event === 'upgrade')
    )
    expect(line['address']).toMatch(/^\/ip4\/11\.0\.0\.2\/tcp\//)
    expect(seen['address']).toMatch(/^\/ip4\/12\.0\.0\.2\/tcp\//)
  })
})
