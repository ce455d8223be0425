import { afterEach, describe, expect, it } from 'vitest'
import type { Lab, Topology } from '../src/index.js'
import { betweenTiers, canRunLab, openLab, withPeers, withRouter, withStun } from '../src/index.js'
import { sendFrom } from './support/datagrams.js'
import { bindAtHome, noted, readyToSend } from './support/home-socket.js'
import { serve, visit } from './support/programs.js'

const support = await canRunLab()

describe.skipIf(!support.ok)(
  `the lifetime of UDP mappings${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    const open: Lab[] = []
    const enter = async (topology: Topology): Promise<Lab> => {
      const lab = await openLab(topology)
      open.push(lab)
      return lab
    }
    afterEach(async () => {
      await Promise.all(open.splice(0).map((lab) => lab.close()))
    })
    const mapped = '11.0.0.2:4001'
    const conntrack = async (lab: Lab, router: string): Promise<string> => {
      const script = 'cd /proc/sys/net/netfilter; cat nf_conntrack_udp_timeout nf_conntrack_udp_timeout_stream'
      return (await lab.run(router, ['sh', '-c', script])).stdout.trim().replace('\n', ' ')
    }

    it('full-cone: a stranger reaches a mapping of UDP until it ends, and never TCP', async () => {
      const lab = await enter(withStun(withRouter('full-cone', { mappingLifetimeMs: 1000 })))
      const socket = await bindAtHome(lab, 4001)
      const outsiderSends = await readyToSend(lab, 'outsider', 'stranger', mapped)
      const charlieSends = await readyToSend(lab, 'charlie', 'another stranger', mapped)
      await sendFrom(lab, 'outsider', 'too early', mapped)
      await socket.askStun('21.0.0.1:3478')
      outsiderSends()
      await socket.until('stranger from 51.0.0.1')
      while ((await noted(lab)) !== '') continue
      await sendFrom(lab, 'outsider', 'too late', mapped)
      await socket.askStun('31.0.0.1:3478')
      charlieSends()
      await socket.until('another stranger from 41.0.0.1')
      expect(socket.heard).toEqual([
        'answer of a STUN server',
        'stranger from 51.0.0.1',
        'answer of a STUN server',
        'another stranger from 41.0.0.1'
      ])
      await serve(lab, 'home', 4001)
      expect(await visit(lab, 'outsider', `http://${mapped}/`)).toBe('TIMEOUT')
    })

    it('full-cone with another external port: a stranger reaches the host at the external port only', async () => {
      const lab = await enter(withStun(withRouter('full-cone', { nat: 'port-changing' })))
      const socket = await bindAtHome(lab, 4001)
      await socket.askStun('21.0.0.1:3478')
      await sendFrom(lab, 'outsider', 'wrong port', mapped)
      await sendFrom(lab, 'charlie', 'stranger', '11.0.0.2:20385')
      await socket.until('stranger from 41.0.0.1')
      expect(socket.heard).toEqual(['answer of a STUN server', 'stranger from 41.0.0.1'])
    })

    it('an answer to a stranger renews the mapping of the host, and makes none to the stranger', async () => {
      const lab = await enter(withStun('full-cone'))
      const socket = await bindAtHome(lab, 4001)
      await socket.askStun('21.0.0.1:3478')
      await sendFrom(lab, 'outsider', 'stranger', mapped)
      await socket.until('stranger from 51.0.0.1')
      await lab.run('router', ['nft', 'flush', 'map', 'inet', 'router', 'noted'])
      socket.answer()
      while ((await noted(lab)) === '') continue
      expect(await noted(lab)).toMatch(/^4001 .*: 192\.168\.1\.2 \. 4001$/)
      await sendFrom(lab, 'charlie', 'another stranger', mapped)
      await socket.until('another stranger from 41.0.0.1')
    })

    it.each(['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const)(
      'mappingLifetimeMs applies to conntrack with %s filtering',
      async (filtering) => {
        const lab = await enter(withRouter('no-daemon', { filtering, mappingLifetimeMs: 7000 }))
        expect(await conntrack(lab, 'router')).toBe('7 7')
      }
    )

    it('mappingLifetimeMs of a home on a tier applies to each of its NATs, and to no other', async () => {
      const lab = await enter(withPeers(betweenTiers('carrier', 'home', { home: { mappingLifetimeMs: 7000 } })))
      expect(await Promise.all(['router', 'isp', 'router2'].map((router) => conntrack(lab, router)))).toEqual([
        '7 7',
        '7 7',
        '30 120'
      ])
    })
  }
)
