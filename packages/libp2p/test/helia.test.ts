import { expect, it } from 'vitest'
import { startNode } from './support/nodes.js'
import { openWorld, skipped, support } from './support/world.js'

it.skipIf(!support.ok)(
  `a Helia node is reachable behind a real router, serves blocks, and leaves no mapping${skipped}`,
  {
    timeout: 60_000
  },
  async () => {
    await using world = await openWorld('home')
    const start = (host: string, nat = {}) =>
      startNode(world.lab, host, { connect: world.peerAddresses, ...nat }, 'helia.mjs')
    await using helia = await start('home', { nat: {} })
    // Its listeners for TCP, WebSockets and WebRTC-direct, each on a port that the system chose.
    await helia.until(() => helia.said.filter(({ event }) => event === 'mapped').length === 3)
    expect((await world.lab.rules()).map(({ protocol }) => protocol).toSorted()).toEqual(['tcp', 'tcp', 'udp'])
    await helia.until(({ event, verdict, cause }) => event === 'verdict' && verdict === 'public' && cause === null)
    const isDirect = (address: string): boolean => /^\/ip4\/11\.0\.0\.2\/tcp\/\d+\/(ws\/)?p2p\/\w+$/.test(address)
    await helia.until(({ event, addresses }) => event === 'addresses' && (addresses as string[]).some(isDirect))

    const cid = await helia.add('Hello from behind the NAT')
    await using outsider = await start('outsider')
    const address = (await helia.addresses()).find(isDirect) ?? ''
    expect(await outsider.fetch(cid, address)).toBe('Hello from behind the NAT')

    const { resources, timers } = await helia.stop()
    expect(await world.lab.rules()).toEqual([])
    // Helia leaves a few timers of its own.
    expect(resources.filter((each) => !['PipeWrap', 'Timeout'].includes(each))).toEqual([])
    expect(timers?.before).not.toEqual([])
    expect(timers?.left).toEqual([])
  }
)
