import { describe, expect, it } from 'vitest'
import type { LabNode, Said } from './support/nodes.js'
import { openWorld, skipped, support } from './support/world.js'

/** Returns a function that waits for a future line of the node. */
function after(node: LabNode): (isIt: (line: Said) => boolean) => Promise<Said> {
  const from = node.said.length
  return (isIt) => node.until((line) => node.said.indexOf(line) >= from && isIt(line))
}

const isVerdict =
  (wanted: string, cause?: string) =>
  (line: Said): boolean =>
    line.event === 'verdict' && line['verdict'] === wanted && (cause === undefined || line['cause'] === cause)
const announces =
  (part: string, isIt = true) =>
  ({ event, addresses }: Said): boolean =>
    event === 'addresses' && (addresses as string[]).some((address) => address.includes(part)) === isIt

describe.skipIf(!support.ok)(`a libp2p node stays reachable${skipped}`, { timeout: 60_000 }, () => {
  it('a node stays reachable when another program deletes its mapping', async () => {
    await using world = await openWorld('home-pcp')
    await using home = await world.startHome()
    await home.until(isVerdict('public'))
    await world.lab.flushRules()
    const next = after(home)
    await home.recheck()
    await next(({ event }) => event === 'renewed')
    expect(await world.lab.rules()).toHaveLength(1)
  })

  it('a node stays reachable when its router restarts', async () => {
    await using world = await openWorld('home')
    await using home = await world.startHome()
    await home.until(isVerdict('public'))
    const next = after(home)
    await world.lab.reboot()
    await next(({ event }) => event === 'renewed' || event === 'mapped')
    expect(await world.lab.rules()).toHaveLength(1)
    await home.until(isVerdict('public'))
  })

  it('a node is reachable through a relay while its mapping does not work, and directly afterwards', async () => {
    await using world = await openWorld('home')
    await using home = await world.startHome({
      nat: {
        policy: {
          relay: { releaseAfterPublicMs: 0 },
          holdDown: { initialMs: 1000, maxMs: 1000 },
          reverify: { initialMs: 2000, maxMs: 2000 }
        }
      }
    })
    await home.until(announces('/ip4/11.0.0.2/'))
    await home.until(announces('p2p-circuit', false))
    const next = after(home)
    await world.lab.blockInbound()
    await next(({ event }) => event === 'refuted')
    await next(isVerdict('relayed', 'mapping-not-honoured'))
    await next(announces('/ip4/11.0.0.2/', false))
    const last = after(home)
    await world.lab.unblockInbound()
    await last(({ event }) => event === 'verified')
    await last(announces('/ip4/11.0.0.2/'))
  })

  it('a node is reachable through a relay when its router stops mapping', async () => {
    await using world = await openWorld('home-pcp')
    await using home = await world.startHome({
      nat: { policy: { lifetimeMs: 120_000, relay: { releaseAfterPublicMs: 0 } } }
    })
    await home.until(isVerdict('public'))
    const next = after(home)
    await world.lab.stopDaemon()
    await world.lab.flushRules()
    await world.lab.blockInbound()
    await home.recheck()
    await next(isVerdict('relayed'))
  })

  it('a node is reachable at the same relay after the relay restarts', async () => {
    await using world = await openWorld('no-daemon')
    await using home = await world.startHome({
      nat: { strategies: [['relay', { relays: [world.peerAddresses[0]], count: 1 }]] },
      connect: []
    })
    await home.until(announces('p2p-circuit'))
    const next = after(home)
    await world.restart('alpha')
    await next(announces('p2p-circuit', false))
    await next(announces('p2p-circuit'))
    // A peer that connects through the relay confirms it.
    const address = (await home.addresses()).find((each) => each.includes('p2p-circuit'))
    expect(await world.peers.bravo.dial(address ?? '')).toMatchObject({ direct: false })
  })

  it('a node uses another relay when one dies, and reports it when all have died', async () => {
    await using world = await openWorld('no-daemon')
    await using home = await world.startHome({
      nat: { strategies: [['relay', { relays: world.peerAddresses, count: 1 }]] },
      connect: []
    })
    await home.until(announces('p2p-circuit'))
    const relayOf = async (): Promise<string | undefined> =>
      /\/ip4\/([\d.]+)\/.*p2p-circuit/.exec((await home.addresses()).join('\n'))?.[1]
    const hosts = { '21.0.0.1': 'alpha', '31.0.0.1': 'bravo', '41.0.0.1': 'charlie' } as const
    const first = (await relayOf()) as keyof typeof hosts
    const next = after(home)
    await world.peers[hosts[first]].kill()
    await next(
      ({ event, addresses }) =>
        event === 'addresses' && String(addresses).includes('p2p-circuit') && !String(addresses).includes(first)
    )
    for (const host of ['alpha', 'bravo', 'charlie'] as const) await world.peers[host].kill()
    await next(isVerdict('private', 'no-mapping-service'))
    const last = after(home)
    await world.restart('bravo')
    await last(isVerdict('relayed'))
  })
})
