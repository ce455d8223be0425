import { betweenTiers, canDelay, type HomeOptions, openLab, withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { type LabNode, startNode } from '../packages/libp2p/test/support/nodes.js'
import { punchVersions } from './build.mjs'
import { findGoPeer, findGoPunch, findRustPunch, type GoPeer, startGoPeer } from './go-peer.js'

const server = await findGoPeer()
const delays = await canDelay()
/** Four other peers have to observe the address of a go-libp2p peer before it believes it, and serves DCUtR. */
const publicHosts = ['alpha', 'bravo', 'charlie', 'outsider'] as const

interface Homes extends AsyncDisposable {
  /** Behind 11.0.0.2. */
  readonly ours: LabNode
  /** Behind 12.0.0.2. */
  readonly other: GoPeer
  readonly otherId: string
}

/** Starts a home of ours and one of the other implementation, both reserved at a relay and reachable through it. */
async function openHomes(servers: string, program: string, routers: HomeOptions): Promise<Homes> {
  const lab = await openLab(withPeers(betweenTiers('home', 'home', { home: routers, home2: routers })))
  const peers = await Promise.all(
    publicHosts.map(async (host) => {
      const listen = `/ip4/${lab.address(host)}/tcp/4001`
      const peer = startGoPeer(lab, servers, host, 'serve', '-seed', host, '-listen', listen)
      return (await peer.wait('ready')).addrs[0] ?? ''
    })
  )
  const [relay = ''] = peers
  const other = startGoPeer(lab, program, 'home2', '-relay', relay, '-peers', peers.join())
  const strategies = [
    ['relay', { relays: [relay] }],
    ['hole-punch', { graceMs: 100 }]
  ] as const
  const ours = await startNode(lab, 'home', {
    listen: ['/ip4/0.0.0.0/tcp/4001'],
    connect: peers.slice(0, 3),
    nat: { strategies }
  })
  await Promise.all([ours.until(isRelayed), other.wait('able'), other.wait('relayed')])
  const { peerId: otherId } = await other.wait('ready')
  return { ours, other, otherId, [Symbol.asyncDispose]: () => lab.close() }
}

const isRelayed: Parameters<LabNode['until']>[0] = ({ event, addresses }) =>
  event === 'addresses' && String(addresses).includes('/p2p-circuit')

/** Checks that one direct connection is left on each side, and that both can use it. */
async function expectDirect({ ours, other, otherId }: Homes): Promise<void> {
  const outcome = await ours.until(({ state }) => state === 'direct' || state === 'failed')
  expect(outcome).toMatchObject({ state: 'direct', cause: null, peer: otherId })
  await expect.poll(() => ours.connections(otherId), { timeout: 10_000 }).toHaveLength(1)
  expect(await ours.connections(otherId)).toMatchObject([
    { limited: false, address: expect.stringMatching(/^\/ip4\/12\.0\.0\.2\/tcp\/4001(\/|$)/) as string }
  ])
  expect(await ours.ping(otherId)).toBeGreaterThanOrEqual(0)
  // There may have been two: js-libp2p opens another relayed connection for a stream to a peer that it knows only by a
  // relayed one.
  await expect.poll(() => relayedLeft(other, ours.peerId), { timeout: 10_000 }).toBe(0)
  other.say(`ping ${ours.peerId}`)
  const { open } = await other.wait('pinged')
  expect(open).toEqual([expect.stringMatching(/^\/ip4\/11\.0\.0\.2\/tcp\/\d+$/)])
}

function relayedLeft({ events }: GoPeer, peer: string): number {
  const count = (name: 'connection' | 'disconnection'): number =>
    events.filter((each) => each.event === name && each.peerId === peer && !each.direct).length
  return count('connection') - count('disconnection')
}

const cells: readonly (readonly [name: string, routers: HomeOptions])[] = [
  ['routers that drop', {}],
  ['routers that drop, 5 ms away', { delayMs: 5 }],
  ['routers that answer with RST, 5 ms away', { wanInput: 'reject', delayMs: 5 }]
]

const others = [
  ...punchVersions.map((version) => [`go-libp2p ${version}`, () => findGoPunch(version)] as const),
  ['rust-libp2p 0.57', findRustPunch] as const
]

for (const [other, find] of others) {
  const program = await find()
  const missing = [server, program].find(({ ok }) => !ok)
  const skipped = missing === undefined || missing.ok ? '' : ` (skipped: ${missing.reason})`

  describe.skipIf(skipped !== '')(
    `a home of ours and one of ${other} are connected directly${skipped}`,
    { timeout: 60_000 },
    () => {
      const open = (routers: HomeOptions): Promise<Homes> =>
        openHomes(server.ok ? server.path : '', program.ok ? program.path : '', routers)

      for (const [name, routers] of cells) {
        const canRun = routers.delayMs === undefined || delays.ok
        it.skipIf(!canRun)(`when ours has dialled it through a relay, behind ${name}`, async () => {
          await using homes = await open(routers)
          await homes.ours.dial((await homes.other.wait('relayed')).address)
          await expectDirect(homes)
        })

        it.skipIf(!canRun)(`when it has dialled ours through a relay, behind ${name}`, async () => {
          await using homes = await open(routers)
          const { addresses } = await homes.ours.until(isRelayed)
          const relayed = (addresses as readonly string[]).find((each) => each.includes('/p2p-circuit'))
          homes.other.say(`dial ${relayed ?? ''}`)
          await expectDirect(homes)
        })
      }
    }
  )
}
