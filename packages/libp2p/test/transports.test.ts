import { describe, expect, it } from 'vitest'
import { type NodeConfig, startNode } from './support/nodes.js'
import { openWorld, skipped, support } from './support/world.js'

const cases: readonly (readonly [name: string, speaks: NodeConfig, listen: string, announced: RegExp])[] = [
  ['QUIC', { quic: true }, '/ip4/0.0.0.0/udp/4001/quic-v1', /^\/ip4\/11\.0\.0\.2\/udp\/4001\/quic-v1\/p2p\/\w+$/],
  [
    'WebRTC-direct',
    { webRtc: true },
    '/ip4/0.0.0.0/udp/4001/webrtc-direct',
    /^\/ip4\/11\.0\.0\.2\/udp\/4001\/webrtc-direct\/certhash\/u[\w-]+\/p2p\/\w+$/
  ]
]

describe.skipIf(!support.ok)(`over UDP${skipped}`, { timeout: 60_000 }, () => {
  it.each(cases)('a %s listener is mapped, verified, announced and dialled', async (_, speaks, listen, announced) => {
    await using world = await openWorld('home', { alpha: speaks, bravo: speaks, charlie: speaks })
    await using home = await world.startHome({ ...speaks, listen: [listen] })
    await home.until(({ event, protocol }) => event === 'verified' && protocol === 'udp')
    expect(await world.lab.rules()).toMatchObject([
      { protocol: 'udp', externalPort: 4001, internalAddress: '192.168.1.2', internalPort: 4001 }
    ])
    expect(await home.report()).toMatchObject({ verdict: 'public', cause: null })
    const find = (addresses: readonly string[]): string | undefined => addresses.find((each) => announced.test(each))
    await home.until(({ event, addresses }) => event === 'addresses' && find(addresses as string[]) !== undefined)
    await using outsider = await startNode(world.lab, 'outsider', speaks)
    expect(await outsider.dial(find(await home.addresses()) ?? '')).toMatchObject({ direct: true })
    await home.stop()
    expect(await world.lab.rules()).toEqual([])
  })

  it('an address that no peer can dial stays unverified and is not announced', async () => {
    await using world = await openWorld('home')
    await using home = await world.startHome({ quic: true, listen: ['/ip4/0.0.0.0/udp/4001/quic-v1'] })
    await home.until(
      ({ event, candidates }) => event === 'verdict' && JSON.stringify(candidates).includes('inconclusive')
    )
    const { verdict, candidates } = await home.report()
    expect(verdict).toBe('relayed')
    expect(candidates.find(({ type }) => type === 'mapped')).toMatchObject({ state: 'consistent' })
    expect(home.said.some(({ event }) => event === 'verified')).toBe(false)
    expect((await home.addresses()).some((address) => address.includes('11.0.0.2'))).toBe(false)
  })
})
