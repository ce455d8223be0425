import { type TopologyName, withPeers, withStun } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { doctorReport, enter, posternIn, support, why } from '../../support/in-lab.js'
import { pasted, startRelay } from '../../support/relays.js'
import { startWitness, two } from '../../support/witnesses.js'

describe.skipIf(!support.ok).concurrent(`postern doctor --witness${why}`, { timeout: 40_000 }, () => {
  it('doctor --witness has the address verified by servers on two networks, and reports each answer', async () => {
    const lab = await enter(withPeers('home'))
    await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))
    const { stdout, stderr, code } = await posternIn(lab, ['doctor', ...two])
    expect(code).toBe(0)
    expect(stdout).toContain('Verdict: public\n')
    expect(stdout).toMatch(/^Address: \/ip4\/11\.0\.0\.2\/tcp\/\d+ \(verified\)$/m)
    for (const name of ['http://21.0.0.1:4003', '31.0.0.1:4003'])
      expect(stdout).toMatch(new RegExp(`^Witness: ${name}: reached it from outside`, 'm'))
    expect(stderr).toContain('Asking the witnesses to connect to this port from outside …')
    expect(await lab.rules()).toEqual([])
  })

  it('doctor --witness verifies a port that was forwarded by hand', async () => {
    const lab = await enter(withPeers('no-daemon'))
    await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))
    const rule = (chain: string, ...words: readonly string[]): Promise<unknown> =>
      lab.run('router', ['nft', 'add', 'rule', 'inet', 'router', chain, 'tcp', 'dport', '8080', ...words])
    await rule('prerouting_miniupnpd', 'dnat', 'ip', 'to', '192.168.1.2:8080')
    await rule('miniupnpd', 'accept')
    const { verdict, cause, exit } = await doctorReport(lab, '--via', 'manual:11.0.0.2:8080', ...two)
    expect({ verdict, cause, exit }).toEqual({ verdict: 'public', cause: null, exit: 0 })
  })

  it.each([
    ['cloud', ['--port', '4001']],
    ['dmz', []],
    ['forwarded', ['--port', '4001']]
  ] as const)(
    'doctor --witness finds the open port of the topology %s, although no router maps it',
    async (name, port) => {
      const lab = await enter(withPeers(name))
      await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))
      const { verdict, cause, exit, candidates } = await doctorReport(lab, ...port, ...two)
      expect({ verdict, cause, exit }).toEqual({ verdict: 'public', cause: null, exit: 0 })
      expect(candidates).toMatchObject([{ type: 'observed', state: 'verified' }])
    }
  )

  it.each(['no-daemon', 'symmetric', 'carrier-nat'] as const)(
    'doctor --witness in the topology %s says where it was tried, and what checks a forward',
    async (name) => {
      const lab = await enter(withPeers(name))
      await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))
      const { stdout, code } = await posternIn(lab, ['doctor', ...two])
      expect(code).toBe(11)
      expect(stdout).toMatch(
        /^→ Witnesses see this machine at 11\.0\.0\.2 TCP port \d+, and could not reach it there\.$/m
      )
      if (name === 'carrier-nat') return
      expect(stdout).toContain('by hand in the settings of 192.168.1.1, then run this again: it is checked.')
      expect(stdout).toContain(`: postern doctor --port 8080 ${two.join(' ')}`)
    }
  )

  it('doctor without a witness says which command finds out whether the port is open all the same', async () => {
    const lab = await enter(withPeers('cloud'))
    const { stdout, code } = await posternIn(lab, ['doctor', '--quick', '--port', '4001'])
    expect(code).toBe(11)
    expect(stdout).toContain('postern doctor --port 4001 --witness URL --witness URL')
  })

  it('doctor --witness reports private if the router claims an address that is not its own', async () => {
    const lab = await enter(withPeers('lying'))
    await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host)))
    const { verdict, exit, candidates } = await doctorReport(lab, ...two)
    expect({ verdict, exit }).toEqual({ verdict: 'private', exit: 11 })
    expect(candidates.map(({ state }) => state)).toEqual(['refuted'])
  })

  it('doctor --witness says what is missing with one server', async () => {
    const lab = await enter(withPeers('home'))
    await startWitness(lab, 'alpha')
    const { stdout, code } = await posternIn(lab, ['doctor', '--witness', '21.0.0.1:4003'])
    expect(code).toBe(0)
    expect(stdout).toContain('Verdict: public (unverified)\n')
    expect(stdout).toContain(
      '→ Only witnesses of one network have reached the address. Name a second one, on another network: postern doctor --witness 21.0.0.1:4003 --witness URL'
    )
  })

  it('doctor --witness says why servers that do not answer decide nothing', async () => {
    const lab = await enter(withPeers('home'))
    const { stdout, code } = await posternIn(lab, ['doctor', ...two])
    expect(code).toBe(12)
    expect(stdout).toContain('Verdict: unknown\n')
    expect(stdout).toMatch(/^Witness: 31\.0\.0\.1:4003: did not say \(.*\): 31\.0\.0\.1:4003 refuses the connection$/m)
    expect(stdout).toMatch(/^→ The witnesses did not decide: .* refuses the connection\.$/m)
  })

  it.each([
    ['forwarded', 'public', 0, 'reached it from outside'],
    ['no-daemon', 'private', 11, 'could not reach it']
  ] as const)(
    'doctor --witness --peer in the topology %s has the plain port tried by a libp2p peer too: %s',
    async (name, verdict, exit, answer) => {
      const lab = await enter(withPeers(name))
      const [, relay] = await Promise.all([startWitness(lab, 'alpha'), startRelay(lab, 'bravo')])
      const named = ['--witness', '21.0.0.1:4003', '--peer', pasted(relay)]
      const { stdout, code } = await posternIn(lab, ['doctor', '--port', '4001', ...named])
      expect([code, stdout]).toEqual([exit, expect.stringMatching(new RegExp(`^Verdict: ${verdict}`, 'm'))])
      for (const host of ['21.0.0.1:4003', '/ip4/31.0.0.1/tcp/4001/p2p/\\w+'])
        expect(stdout).toMatch(new RegExp(`^Witness: ${host}: ${answer} \\(/ip4/11.0.0.2/tcp/4001\\)$`, 'm'))
    }
  )
})

/** STUN servers on `alpha` and `bravo`, and witnesses on other networks. */
const stun: readonly string[] = ['--stun', '21.0.0.1', '--stun', '31.0.0.1']
const others: readonly string[] = ['--witness', '41.0.0.1:4003', '--witness', '51.0.0.1:4003']

describe.skipIf(!support.ok).concurrent(`postern doctor --witness --stun${why}`, { timeout: 40_000 }, () => {
  async function scene(name: TopologyName, ...witnesses: readonly string[]) {
    const lab = await enter(withStun(name))
    await Promise.all(witnesses.map((host) => startWitness(lab, host)))
    return lab
  }

  it('doctor in the topology full-cone says that UDP can be reached, and that TCP cannot', async () => {
    const lab = await scene('full-cone', 'charlie', 'outsider')
    const { stdout, code } = await posternIn(lab, ['doctor', ...stun, ...others])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Verdict: public over UDP only\nTCP: cannot be reached\nUDP: can be reached\n/)
    expect(stdout).toMatch(/^Address: \/ip4\/11\.0\.0\.2\/udp\/\d+ \(verified\)$/m)
    expect(stdout).not.toMatch(/^Address: .*\/tcp\//m)
    expect(stdout).toContain(
      '→ UDP can be reached; TCP cannot.\n→ For a server over TCP, such as a web server, forward'
    )
    expect(stdout).toContain('send to a STUN server every 15 s')
  })

  it('doctor --json in the topology full-cone has the verdict of each protocol', async () => {
    const lab = await scene('full-cone', 'charlie', 'outsider')
    const report = await doctorReport(lab, '--port', '4001', ...stun, ...others)
    expect(report).toMatchObject({
      verdict: 'public',
      cause: null,
      exit: 0,
      protocols: { tcp: 'private', udp: 'public' },
      externalAddresses: ['/ip4/11.0.0.2/udp/4001']
    })
    expect(report.advice[0]).toBe('UDP can be reached; TCP cannot.')
  })

  it.each([
    ['home', { tcp: 'public', udp: 'public' }, 'public'],
    ['dmz', { tcp: 'public', udp: 'public' }, 'public'],
    ['no-daemon', { tcp: 'private', udp: 'private' }, 'private'],
    ['symmetric', { tcp: 'private', udp: 'private' }, 'private']
  ] as const)('doctor tries both protocols in the topology %s: %j', async (name, protocols, verdict) => {
    const lab = await scene(name, 'charlie', 'outsider')
    const report = await doctorReport(lab, ...stun, ...others)
    expect([report.verdict, report.protocols]).toEqual([verdict, protocols])
    // The mappings of both protocols are gone.
    expect(await lab.rules()).toEqual([])
  })

  it('doctor says that no witness may tell about UDP in the networks of the STUN servers, and does not wait', async () => {
    const lab = await scene('full-cone', 'alpha', 'bravo')
    const { protocols, verdict, advice } = await doctorReport(lab, ...stun, ...two)
    expect(protocols).toEqual({ tcp: 'private', udp: 'unknown' })
    // A witness may begin before the socket has asked a server in its network: then its answer decides nothing.
    expect(verdict).toMatch(/^(?:private|unknown)$/)
    expect(advice.join(' ')).toContain('Name two witnesses on other networks than the STUN servers')
  })

  it.each([
    ['without STUN servers', others],
    ['without witnesses', stun]
  ])('doctor %s tries TCP alone', async (_, named) => {
    const lab = await scene('home', 'charlie', 'outsider')
    const { protocols, candidates } = await doctorReport(lab, ...named)
    expect(protocols).toBeUndefined()
    expect(candidates.map(({ endpoint }) => endpoint?.protocol)).toEqual(['tcp'])
  })

  it('doctor tries TCP alone if another program has the UDP port, and says so', async () => {
    const lab = await scene('dmz', 'charlie', 'outsider')
    const holder = "require('node:dgram').createSocket('udp4').bind(4001, () => console.log('bound'))"
    const { stdout: bound } = lab.spawn('home', [process.execPath, '-e', holder])
    await new Promise((resolve) => bound?.once('data', resolve))
    const { stdout, stderr, code } = await posternIn(lab, ['doctor', '--port', '4001', ...stun, ...others])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Verdict: public\n\n/)])
    expect(stderr).toContain('! UDP port 4001 of this host is not free, so only TCP is tried')
  })
})

it.each([
  [['--witness', '192.168.1.1:4003'], 'may not be asked'],
  [['--witness', 'ftp://21.0.0.1'], 'is not the URL of a witness'],
  [['--witness', '21.0.0.1', '--dry-run'], 'cannot be used with'],
  [['--witness', '21.0.0.1', '--peer', '/ip4/21.0.0.1/tcp/1/p2p/x'], '--peer: not a multiaddr'],
  [['--witness', '21.0.0.1', '--peer', '/ip4/21.0.0.1/tcp/1'], '--peer: a peer is named by its address and its id'],
  [['--peer', '/ip4/21.0.0.1/tcp/1/p2p/x', '--dry-run'], 'cannot be used with']
])('doctor %s is a usage error', async (args, text) => {
  const { execFile } = await import('node:child_process')
  const { fileURLToPath } = await import('node:url')
  const bin = fileURLToPath(new URL('../../../bin/postern.js', import.meta.url))
  const { promise, resolve } = Promise.withResolvers<readonly [unknown, string]>()
  const child = execFile(process.execPath, [bin, 'doctor', ...args], (_error, _stdout, stderr) =>
    resolve([child.exitCode, stderr])
  )
  const [code, stderr] = await promise
  expect([code, stderr]).toEqual([2, expect.stringContaining(text)])
})
