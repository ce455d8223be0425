import { type Lab, openLab, withPeers } from '@postern/lab'
import { afterEach, describe, expect, it } from 'vitest'
import { findGoPeer, type GoPeer, startGoPeer } from './go-peer.js'

const program = await findGoPeer()

describe.skipIf(!program.ok)(
  `the Go peer${program.ok ? '' : ` (skipped: ${program.reason})`}`,
  { timeout: 40_000 },
  () => {
    let lab: Lab
    afterEach(() => lab.close())
    const go = (host: string, ...args: string[]): GoPeer =>
      startGoPeer(lab, program.ok ? program.path : '', host, ...args)
    /** Starts a public server, and returns it with its address. */
    const serve = async (host: string, ...args: string[]): Promise<GoPeer & { readonly address: string }> => {
      const listen = args.includes('-listen') ? [] : ['-listen', `/ip4/${lab.address(host)}/tcp/4001`]
      const peer = go(host, 'serve', '-seed', host, ...listen, ...args)
      const [address = ''] = (await peer.wait('ready')).addrs
      return { ...peer, address }
    }

    it('a go-libp2p peer has the same identity for the same seed, and reports a peer that it cannot reach', async () => {
      lab = await openLab(withPeers('home'))
      const alpha = await serve('alpha')
      expect(alpha.address).toBe('/ip4/21.0.0.1/tcp/4001/p2p/12D3KooWRoJsPay4bca3uPFs5JPmja3FDTsjqXswa816UgcUbpuR')
      const dial = go('outsider', 'dial', alpha.address.replace('4001', '4002'))
      expect(await dial.ended).toBe(1)
      expect(dial.events).toMatchObject([{ event: 'failed', error: expect.stringContaining('refused') as string }])
      expect(await alpha.stop()).toBe(0)
    })

    it.each([
      ['tcp/4001', /^\/ip4\/11\.0\.0\.2\/tcp\/\d+$/],
      ['udp/4001/quic-v1', /^\/ip4\/11\.0\.0\.2\/udp\/\d+\/quic-v1$/]
    ])('dials a public peer over %s from behind a NAT', async (transport, seen) => {
      lab = await openLab(withPeers('home'))
      const alpha = await serve('alpha', '-listen', `/ip4/21.0.0.1/${transport}`)
      const dial = go('home', 'dial', alpha.address)
      expect(await dial.wait('connected')).toMatchObject({ direct: true, address: `/ip4/21.0.0.1/${transport}` })
      expect(await dial.ended).toBe(0)
      expect((await alpha.wait('connection')).address).toMatch(seen)
    })

    it('a go-libp2p peer reserves on relays from behind a NAT, and is reached through them', async () => {
      lab = await openLab(withPeers('home'))
      const [alpha, bravo] = await Promise.all([serve('alpha'), serve('bravo', '-limits', 'none')])
      const node = go('home', 'node', '-private', '-relay', alpha.address, '-relay', bravo.address)
      const { peerId } = await node.wait('ready')
      const relayed = [alpha, bravo].map(({ address }) => `${address}/p2p-circuit/p2p/${peerId}`)
      expect((await node.wait('relays', ({ addrs }) => addrs.length === 2)).addrs).toEqual(relayed)
      expect(await node.wait('first-address')).toMatchObject({ kind: 'relayed' })

      for (const [relay, limited] of [
        [alpha, true],
        [bravo, false]
      ] as const) {
        const dial = go('outsider', 'dial', `${relay.address}/p2p-circuit/p2p/${peerId}`)
        expect(await dial.wait('connected')).toMatchObject({ direct: false, limited, peerId })
        expect(await dial.ended).toBe(0)
        expect(await relay.wait('reserve')).toMatchObject({ peerId })
        expect(await relay.wait('circuit')).toMatchObject({ to: peerId })
      }
      expect(await node.stop()).toBe(0)
    })

    it('a go-libp2p peer maps a port, has it verified by two AutoNAT v2 servers, and is reached there', async () => {
      lab = await openLab(withPeers('home'))
      const [alpha, bravo] = await Promise.all([serve('alpha'), serve('bravo')])
      const listen = ['-listen', '/ip4/0.0.0.0/tcp/4001']
      const node = go('home', 'node', ...listen, '-peer', alpha.address, '-peer', bravo.address)
      const { peerId } = await node.wait('ready')
      const { reachable } = await node.wait('reachability-v2', (told) => told.reachable.length > 0, 35_000)
      const [rule] = await lab.rules()
      expect(reachable).toEqual([`/ip4/11.0.0.2/tcp/${rule?.externalPort}`])
      expect(node.events.filter(({ event }) => event === 'first-address')).toMatchObject([{ kind: 'direct' }])

      const dial = go('outsider', 'dial', `${reachable[0]}/p2p/${peerId}`)
      expect(await dial.wait('connected')).toMatchObject({ direct: true, peerId })
      expect(await node.stop()).toBe(0)
    })

    it('a go-libp2p peer reports a mapping that the router does not honour as unreachable', async () => {
      lab = await openLab(withPeers('home'))
      await lab.blockInbound()
      const [alpha, bravo] = await Promise.all([serve('alpha'), serve('bravo')])
      const listen = ['-listen', '/ip4/0.0.0.0/tcp/4001']
      const node = go('home', 'node', ...listen, '-peer', alpha.address, '-peer', bravo.address)
      const { unreachable } = await node.wait('reachability-v2', (event) => event.unreachable.length > 0, 35_000)
      expect(unreachable).toEqual([expect.stringContaining('/ip4/11.0.0.2/tcp/')])
      expect(await lab.rules()).toHaveLength(1)
    })
  }
)
