import { openLab, withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { posternIn } from '../packages/cli/test/support/in-lab.js'
import { findGoPeer, startGoPeer } from './go-peer.js'

const program = await findGoPeer()

describe.skipIf(!program.ok)(
  `postern ping${program.ok ? '' : ` (skipped: ${program.reason})`}`,
  { timeout: 60_000 },
  () => {
    it('a public go-libp2p peer answers directly, and one behind a NAT through a go-libp2p relay', async () => {
      await using lab = await openLab(withPeers('home'))
      const go = (host: string, ...args: readonly string[]) =>
        startGoPeer(lab, program.ok ? program.path : '', host, ...args)
      const server = go('alpha', 'serve', '-seed', 'alpha', '-listen', `/ip4/${lab.address('alpha')}/tcp/4001`)
      const [relay = ''] = (await server.wait('ready')).addrs
      const direct = await posternIn(lab, ['ping', relay, '--json'], 'outsider')
      expect([direct.code, JSON.parse(direct.stdout.split('\n')[0] ?? '')]).toMatchObject([
        0,
        { event: 'pong', via: 'direct', address: relay }
      ])

      const node = go('home', 'node', '-private', '-relay', relay)
      const { peerId } = await node.wait('ready')
      await node.wait('relays', ({ addrs }) => addrs.length > 0)
      const { stdout } = await posternIn(lab, ['ping', peerId, '--relay', relay, '--count', '1', '--json'], 'outsider')
      expect(JSON.parse(stdout.split('\n')[0] ?? '')).toMatchObject({ event: 'pong', via: 'relayed', address: relay })
    })
  }
)
