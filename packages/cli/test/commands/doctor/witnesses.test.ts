import { withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { doctorReport, enter, posternIn, support, why } from '../../support/in-lab.js'
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
})

it.each([
  [['--witness', '192.168.1.1:4003'], 'may not be asked'],
  [['--witness', 'ftp://21.0.0.1'], 'is not the URL of a witness'],
  [['--witness', '21.0.0.1', '--dry-run'], 'cannot be used with'],
  [['--witness', '21.0.0.1', '--peer', '/ip4/21.0.0.1/tcp/1/p2p/x'], 'cannot be used with']
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
