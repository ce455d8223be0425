import { type Lab, openLab, withPeers } from '@postern/lab'
import { afterEach, describe, expect, it } from 'vitest'
import { pasted, startRelay } from '../packages/cli/test/support/relays.js'
import { startNode } from '../packages/libp2p/test/support/nodes.js'
import { findGoPeer, type GoPeer, startGoPeer } from './go-peer.js'

const program = await findGoPeer()
const publicHosts = ['alpha', 'bravo', 'charlie'] as const

describe.skipIf(!program.ok)(
  `go-libp2p and Postern${program.ok ? '' : ` (skipped: ${program.reason})`}`,
  { timeout: 60_000 },
  () => {
    let lab: Lab
    afterEach(() => lab.close())
    const go = (host: string, ...args: string[]): GoPeer =>
      startGoPeer(lab, program.ok ? program.path : '', host, ...args)
    const addressOf = (host: string): string => `/ip4/${lab.address(host)}/tcp/4001`
    /** Starts public servers of go-libp2p: relays, AutoNAT v1 and v2. Resolves with their addresses. */
    const serve = (hosts: readonly string[]): Promise<string[]> =>
      Promise.all(
        hosts.map(async (host) => {
          const peer = go(host, 'serve', '-seed', host, '-listen', addressOf(host))
          return (await peer.wait('ready')).addrs[0] ?? ''
        })
      )
    /** Starts public servers of ours: `postern relay`. */
    const serveOurs = (hosts: readonly string[]): Promise<string[]> =>
      Promise.all(hosts.map(async (host) => pasted(await startRelay(lab, host))))

    it('go-libp2p servers verify, relay and reach a node of ours', async () => {
      lab = await openLab(withPeers('home'))
      const connect = await serve(publicHosts)
      const home = await startNode(lab, 'home', { listen: ['/ip4/0.0.0.0/tcp/4001'], connect, nat: {} })
      await home.until(({ event }) => event === 'verified')
      const isRelayed = (address: string): boolean => address.includes('/p2p-circuit')
      await home.until(({ event, addresses }) => event === 'addresses' && (addresses as string[]).some(isRelayed))
      const announced = (await home.addresses()).filter((address) => !/^\/ip4\/(127|192)\./.test(address))
      expect(announced.filter((address) => !isRelayed(address))).toEqual([`/ip4/11.0.0.2/tcp/4001/p2p/${home.peerId}`])
      for (const address of announced) {
        const dial = go('outsider', 'dial', address)
        expect(await dial.wait('connected')).toMatchObject({ peerId: home.peerId, direct: !isRelayed(address) })
        expect(await dial.ended).toBe(0)
      }
      expect((await home.report()).candidates.find(({ type }) => type === 'mapped')?.evidence.length).toBeGreaterThan(1)
    })

    it('go-libp2p servers agree that a mapping is not honoured', async () => {
      lab = await openLab(withPeers('home'))
      await lab.blockInbound()
      const connect = await serve(publicHosts)
      const home = await startNode(lab, 'home', { listen: ['/ip4/0.0.0.0/tcp/4001'], connect, nat: {} })
      await home.until(
        (line) => line.event === 'verdict' && line['verdict'] === 'relayed' && line['cause'] === 'mapping-not-honoured'
      )
      // Its relays send seconds, as the specification says.
      expect((await home.report()).advice.join()).toContain('120 s or 128 KiB')
    })

    it('go-libp2p nodes are reached through a relay of ours, behind a NAT', async () => {
      lab = await openLab(withPeers('home'))
      const [relay = ''] = await serveOurs(['alpha'])
      const node = go('home', 'node', '-private', '-relay', relay)
      const { peerId } = await node.wait('ready')
      expect((await node.wait('relays', ({ addrs }) => addrs.length > 0)).addrs).toEqual([
        `${relay}/p2p-circuit/p2p/${peerId}`
      ])
      const dial = go('outsider', 'dial', `${relay}/p2p-circuit/p2p/${peerId}`)
      expect(await dial.wait('connected')).toMatchObject({ direct: false, peerId })
      expect(await node.stop()).toBe(0)
    })

    it('go-libp2p nodes are verified by AutoNAT servers of ours', async () => {
      lab = await openLab(withPeers('home'))
      const peers = await serveOurs(publicHosts)
      const node = go(
        'home',
        'node',
        '-listen',
        '/ip4/0.0.0.0/tcp/4001',
        ...peers.flatMap((address) => ['-peer', address])
      )
      const { reachable } = await node.wait('reachability-v2', (told) => told.reachable.length > 0, 35_000)
      // Its client lets the router choose the port.
      const [rule] = await lab.rules()
      expect(reachable).toEqual([`/ip4/11.0.0.2/tcp/${rule?.externalPort}`])
      expect(await node.stop()).toBe(0)
    })
  }
)
