import { openLab, withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { posternIn } from '../packages/cli/test/support/in-lab.js'
import { findGoPeer, startGoPeer } from './go-peer.js'

const program = await findGoPeer()

describe.skipIf(!program.ok)(
  `postern doctor with a plain port${program.ok ? '' : ` (skipped: ${program.reason})`}`,
  { timeout: 40_000 },
  () => {
    it.each([
      ['forwarded', 'public', 'reached it from outside'],
      ['no-daemon', 'private', 'could not reach it']
    ] as const)('go-libp2p peers decide about the plain port in the topology %s: %s', async (name, verdict, answer) => {
      await using lab = await openLab(withPeers(name))
      const peers = await Promise.all(
        ['alpha', 'bravo'].map(async (host) => {
          const listen = ['-listen', `/ip4/${lab.address(host)}/tcp/4001`]
          const peer = startGoPeer(lab, program.ok ? program.path : '', host, 'serve', '-seed', host, ...listen)
          const [address = ''] = (await peer.wait('ready')).addrs
          return ['--peer', address]
        })
      )
      // Nothing answers there: the named witness only makes the port a plain one.
      const args = ['doctor', '--port', '4001', '--witness', '41.0.0.1:4003', ...peers.flat()]
      const { stdout } = await posternIn(lab, args)
      expect(stdout).toMatch(new RegExp(`^Verdict: ${verdict}`, 'm'))
      for (const host of ['21.0.0.1', '31.0.0.1'])
        expect(stdout).toMatch(new RegExp(`^Witness: /ip4/${host}/tcp/4001/p2p/\\w+: ${answer}`, 'm'))
    })
  }
)
