import { describe, expect, it } from 'vitest'
import { canRunLab } from '../src/index.js'
import { call } from './support/cli.js'

describe('options that change a topology', () => {
  it('postern-lab show --forward and --mapping-lifetime change the routers of a topology', async () => {
    expect((await call('show', 'forwarded', '--forward', '5001:4001')).stdout).toContain(
      'port 5001 to 192.168.1.2:4001'
    )
    expect((await call('show', 'symmetric', '--forward', '80', '--stun')).stdout).toContain('port 80 to 192.168.1.2:80')
    expect((await call('show', 'cloud', '--forward', '443')).stdout).toContain('port 443 to 10.0.0.2')
    const shown = await call('show', 'double-nat', '--mapping-lifetime', '5000')
    expect(shown.stdout.match(/mappings end after 5 s/g)).toHaveLength(2)
  })

  it.each([
    ['cloud', '--forward', '5001:4001'],
    ['open-and-home', '--forward', '4001'],
    ['container-bridge', '--forward', '4001'],
    ['forwarded', '--forward', '65536'],
    ['forwarded', '--forward', '1:2:3'],
    ['forwarded', '--forward', ''],
    ['full-cone', '--mapping-lifetime', '1500'],
    ['full-cone', '--mapping-lifetime', '0']
  ])('postern-lab show %s %s "%s" exits with 2 and a message', async (...args) => {
    const { code, stdout, stderr } = await call('show', ...args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/port|seconds/)
  })
})

const support = await canRunLab()

describe.skipIf(!support.ok)(
  `postern-lab run with such options${support.ok ? '' : ` (skipped: ${support.reason})`}`,
  { timeout: 15_000 },
  () => {
    it('postern-lab run --mapping-lifetime applies to the kernel of the router', async () => {
      const command = ['cat', '/proc/sys/net/netfilter/nf_conntrack_udp_timeout']
      const run = await call('run', 'full-cone', '--mapping-lifetime', '5000', '--host', 'router', '--', ...command)
      expect(run).toMatchObject({ code: 0, stdout: '5\n' })
    })
  }
)
