import { mkdtempSync, readdirSync, readlinkSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { canRunLab, openLab } from '@postern/lab'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openNetworkSnapshot } from '../../src/index.js'

const isLinux = process.platform === 'linux'
const names = ['route', 'fib_trie', 'ipv6_route', 'if_inet6', 'arp']

/** A folder with files in place of those of /proc/self/net. */
function scene(files: readonly string[] = names) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-snapshot-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  for (const name of files) write(name, `${name} at the start`)
  let asked = 0
  const held = { eth0: ['192.168.1.2'] }
  const snapshot = openNetworkSnapshot({
    folder,
    interfaces: () => {
      asked++
      return held
    }
  })
  onTestFinished(() => snapshot.close())
  return { folder, write, held, snapshot, asked: () => asked }
}

/** Returns the open files of a folder. */
const openIn = (folder: string): readonly string[] =>
  readdirSync('/proc/self/fd').flatMap((each) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${each}`)
      return path.startsWith(folder) ? [path] : []
    } catch {
      return []
    }
  })

describe.skipIf(!isLinux)(`openNetworkSnapshot${isLinux ? '' : ' (skipped: the files exist on Linux only)'}`, () => {
  it('reports a change at first, and none while the files stay the same', () => {
    const { snapshot } = scene()
    expect(Array.from({ length: 10 }, () => snapshot.hasChanged())).toEqual([true, ...Array<boolean>(9).fill(false)])
  })

  it.each(names.filter((name) => name !== 'arp'))('reports a change of %s once', (name) => {
    const { snapshot, write } = scene()
    snapshot.hasChanged()
    write(name, 'another text')
    expect([snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, false])
  })

  it('reports all files that changed together as one change', () => {
    const { snapshot, write } = scene()
    snapshot.hasChanged()
    for (const name of names) write(name, 'another text')
    expect([snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, false])
  })

  it('reports a text that became a part of the one before', () => {
    const { snapshot, folder } = scene()
    snapshot.hasChanged()
    truncateSync(join(folder, 'fib_trie'), 3)
    expect(snapshot.hasChanged()).toBe(true)
  })

  it('reports a change at the end of a long file', () => {
    const { snapshot, write } = scene()
    write('route', 'x'.repeat(100_000))
    snapshot.hasChanged()
    write('route', `${'x'.repeat(100_000)}y`)
    expect([snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, false])
  })

  it('ignores the counters of ipv6_route, and no other column', () => {
    const { snapshot, write } = scene()
    const zero = '0'.repeat(32)
    const row = (metric: string, references: string, link: string): string =>
      `${zero} 00 ${zero} 00 fe800000000000000000000000000001 ${metric} ${references} 00000000 00450003     ${link}\n`
    write('ipv6_route', row('00000400', '00000001', 'eth0') + row('00000500', '00000001', 'eth1'))
    snapshot.hasChanged()
    write('ipv6_route', row('00000400', '00000004', 'eth0') + row('00000500', '00000002', 'eth1'))
    expect(snapshot.hasChanged()).toBe(false)
    write('ipv6_route', row('00000400', '00000004', 'eth0') + row('00000501', '00000002', 'eth1'))
    expect(snapshot.hasChanged()).toBe(true)
    write('ipv6_route', row('00000400', '00000004', 'eth2') + row('00000501', '00000002', 'eth1'))
    expect(snapshot.hasChanged()).toBe(true)
  })

  it('compares the interfaces in every third snapshot, and at once when the neighbours have changed', () => {
    const { snapshot, write, held, asked } = scene()
    for (let count = 0; count < 9; count++) snapshot.hasChanged()
    expect(asked()).toBe(3)
    held.eth0 = []
    write('arp', 'another text')
    expect([snapshot.hasChanged(), snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, false, false])
    held.eth0 = ['192.168.1.2']
    expect([snapshot.hasChanged(), snapshot.hasChanged(), snapshot.hasChanged()]).toContain(true)
  })

  it('takes a snapshot without the files of IPv6 and without neighbours', () => {
    const { snapshot, write } = scene(['route', 'fib_trie'])
    expect([snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, false])
    write('fib_trie', 'another text')
    expect(snapshot.hasChanged()).toBe(true)
  })

  it.each(['route', 'fib_trie'])('always reports a change without %s, and holds no file', (missing) => {
    const { snapshot, folder } = scene(names.filter((name) => name !== missing))
    expect([snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, true])
    expect(openIn(folder)).toEqual([])
  })

  it('always reports a change of a file that is larger than its buffer', () => {
    const { snapshot, write } = scene()
    write('route', 'x'.repeat(300_000))
    expect([snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, true])
    write('route', 'short')
    expect([snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, false])
  })

  it('reports a change when the interfaces cannot be read, and compares again when they can', () => {
    const { folder } = scene()
    let fault: Error | undefined
    const snapshot = openNetworkSnapshot({
      folder,
      interfaces: () => {
        if (fault !== undefined) throw fault
        return {}
      }
    })
    onTestFinished(() => snapshot.close())
    snapshot.hasChanged()
    fault = new Error('no buffer space')
    expect([snapshot.hasChanged(), snapshot.hasChanged(), snapshot.hasChanged()]).toContain(true)
    fault = undefined
    for (let count = 0; count < 3; count++) snapshot.hasChanged()
    expect(snapshot.hasChanged()).toBe(false)
  })

  it('holds five files until it is closed, and always reports a change from then on', () => {
    const { snapshot, folder } = scene()
    snapshot.hasChanged()
    expect(openIn(folder)).toHaveLength(5)
    snapshot.close()
    snapshot.close()
    expect(openIn(folder)).toEqual([])
    expect([snapshot.hasChanged(), snapshot.hasChanged()]).toEqual([true, true])
    expect(openIn(folder)).toEqual([])
  })
})

const support = await canRunLab()
const skipped = support.ok ? '' : ` (skipped: ${support.reason})`
const program = join(import.meta.dirname, '..', 'support', 'watch.mjs')

interface Told {
  readonly reads: number
  readonly reported: number
  readonly network: { readonly gateways: readonly { readonly interface: string }[]; readonly addresses: string[] }
}

describe.skipIf(!support.ok)(`watchNetwork in a network of the kernel${skipped}`, { timeout: 30_000 }, () => {
  /** Watches the network of a home. It polls when the test says so, and no poll reads the network any more unless there
   * is a reason. */
  async function watched() {
    const lab = await openLab('no-daemon')
    onTestFinished(() => lab.close())
    const child = lab.spawn('home', [process.execPath, program], { stdio: ['pipe', 'pipe', 'inherit'] })
    const { stdin, stdout } = child
    if (stdin === null || stdout === null) throw new Error('no streams')
    const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
    const hear = async (): Promise<unknown> => JSON.parse((await lines.next()).value as string) as unknown
    const poll = async (): Promise<Told> => {
      stdin.write('\n')
      return (await hear()) as Told
    }
    const ip = async (...args: string[]): Promise<void> => {
      const { code, stderr } = await lab.run('home', ['ip', ...args])
      if (code !== 0) throw new Error(stderr)
    }
    /** Polls until a poll has passed in which the network was not read. */
    async function settle(): Promise<Told> {
      for (let before = await poll(); ; ) {
        const next = await poll()
        if (next.reads === before.reads) return next
        before = next
      }
    }
    const end = async (): Promise<unknown> => {
      stdin.end()
      return hear()
    }
    await hear()
    await ip('link', 'add', 'vpn0', 'type', 'veth', 'peer', 'name', 'far0')
    await ip('link', 'set', 'far0', 'up')
    return { lab, ip, poll, settle, end }
  }

  it('does not read a network that stays as it is, but for one poll in fifteen', async () => {
    const { poll, settle } = await watched()
    const before = await settle()
    let after = before
    for (let count = 0; count < 30; count++) after = await poll()
    expect(after.reads - before.reads).toBe(2)
    expect(after.reported).toBe(before.reported)
  })

  const changes: readonly (readonly [string, readonly (readonly string[])[], Partial<Told['network']>])[] = [
    [
      'an address of the same subnet',
      [['addr', 'add', '192.168.1.77/24', 'dev', 'eth0']],
      { addresses: ['192.168.1.2', '192.168.1.77'] }
    ],
    [
      'an address that adds no route',
      [['addr', 'add', '10.99.0.1/32', 'dev', 'eth0']],
      { addresses: ['192.168.1.2', '10.99.0.1'] }
    ],
    [
      'an IPv6 address',
      [['addr', 'add', '2001:db8:5::2/64', 'dev', 'eth0', 'nodad']],
      { addresses: ['192.168.1.2', '2001:db8:5::2'] }
    ],
    [
      'another default route',
      [['route', 'replace', 'default', 'via', '192.168.1.9']],
      { gateways: [{ address: '192.168.1.9', interface: 'eth0', localAddress: '192.168.1.2' }] } as never
    ],
    ['a route that is deleted', [['route', 'del', 'default']], { gateways: [] }],
    ['an interface that goes down', [['link', 'set', 'eth0', 'down']], { gateways: [], addresses: [] }],
    [
      'a VPN that takes both halves of the internet',
      [
        ['addr', 'add', '10.8.0.2/24', 'dev', 'vpn0'],
        ['link', 'set', 'vpn0', 'up'],
        ['route', 'add', '0.0.0.0/1', 'dev', 'vpn0'],
        ['route', 'add', '128.0.0.0/1', 'dev', 'vpn0']
      ],
      { gateways: [{ interface: 'vpn0' }, { interface: 'eth0' }].map((each) => expect.objectContaining(each) as never) }
    ],
    [
      'the last of a hundred addresses',
      Array.from({ length: 100 }, (_, index) => ['addr', 'add', `10.99.${index}.1/32`, 'dev', 'eth0']),
      { addresses: expect.arrayContaining(['10.99.99.1']) as never }
    ],
    [
      'a VPN with a routing table of its own, and the rule for it',
      [
        ['addr', 'add', '10.8.0.2/24', 'dev', 'vpn0'],
        ['link', 'set', 'vpn0', 'up'],
        ['route', 'add', 'default', 'dev', 'vpn0', 'table', '51820'],
        ['rule', 'add', 'from', 'all', 'lookup', '51820']
      ],
      { gateways: [{ interface: 'vpn0' }, { interface: 'eth0' }].map((each) => expect.objectContaining(each) as never) }
    ]
  ]

  it.each(changes)('the next poll reports %s', async (_, commands, expected) => {
    const { ip, poll, settle } = await watched()
    const before = await settle()
    for (const command of commands) await ip(...command)
    const { reported, network } = await poll()
    expect({ reported, network }).toMatchObject({ reported: before.reported + 1, network: expected })
  })

  it('reports a rule of policy routing that comes alone within fifteen polls', async () => {
    const { ip, poll, settle } = await watched()
    await ip('addr', 'add', '10.8.0.2/24', 'dev', 'vpn0')
    await ip('link', 'set', 'vpn0', 'up')
    await ip('route', 'add', 'default', 'dev', 'vpn0', 'table', '51820')
    const before = await settle()
    await ip('rule', 'add', 'from', 'all', 'lookup', '51820')
    let after = before
    for (let count = 0; count < 15; count++) after = await poll()
    expect(after.reported).toBe(before.reported + 1)
    expect(after.network.gateways[0]?.interface).toBe('vpn0')
  })

  it('reports a link that lost its carrier within three polls', async () => {
    const { lab, ip, poll, settle } = await watched()
    await ip('addr', 'add', '10.8.0.2/24', 'dev', 'vpn0')
    await ip('link', 'set', 'vpn0', 'up')
    const before = await settle()
    expect(before.network.addresses).toContain('10.8.0.2')
    await ip('link', 'set', 'far0', 'down')
    // The kernel reports the loss to programs after a delay of its own.
    await expect
      .poll(async () => (await lab.run('home', ['ip', 'link', 'show', 'vpn0'])).stdout, { timeout: 10_000 })
      .toContain('LOWERLAYERDOWN')
    let after = before
    for (let count = 0; count < 3; count++) after = await poll()
    expect(after.network.addresses).not.toContain('10.8.0.2')
  })

  it('leaves no file open', async () => {
    const { settle, end } = await watched()
    await settle()
    expect(await end()).toEqual({ open: [] })
  })
})
