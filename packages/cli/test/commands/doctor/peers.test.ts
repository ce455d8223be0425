import { once } from 'node:events'
import { withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { doctorReport, enter, posternIn, support, why } from '../../support/in-lab.js'
import { pasted, startPublicNode, startRelay } from '../../support/relays.js'

const peer = (address: string): readonly string[] => ['--peer', address]
/** A peer that does not exist. */
const away = '/ip4/41.0.0.1/tcp/9/p2p/12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'

describe.skipIf(!support.ok).concurrent(`postern doctor --peer${why}`, { timeout: 40_000 }, () => {
  it('doctor --peer has the address verified by peers on two networks, and reports each answer', async () => {
    const lab = await enter(withPeers('home'))
    const relays = await Promise.all(['alpha', 'bravo', 'charlie'].map((host) => startRelay(lab, host)))
    const { verdict, cause, exit, candidates } = await doctorReport(
      lab,
      ...relays.flatMap((each) => peer(pasted(each)))
    )
    expect({ verdict, cause, exit }).toEqual({ verdict: 'public', cause: null, exit: 0 })
    const mapped = candidates.find(({ type }) => type === 'mapped')
    expect(mapped).toMatchObject({
      state: 'verified',
      address: expect.stringMatching(/^\/ip4\/11\.0\.0\.2\/tcp\/\d+$/)
    })
    const yes = mapped?.evidence.filter(({ outcome }) => outcome === 'reachable') ?? []
    expect(new Set(yes.map(({ network }) => network)).size).toBeGreaterThanOrEqual(2)
    expect(relays.map(({ peerId }) => peerId)).toEqual(expect.arrayContaining(yes.map(({ party }) => party)))
    expect(await lab.rules()).toEqual([])
  })

  it('doctor --peer with one working peer reports unverified, with each answer or the reason for none', async () => {
    const lab = await enter(withPeers('home'))
    const [alpha, bravo] = await Promise.all([startRelay(lab, 'alpha'), startPublicNode(lab, 'bravo')])
    const named = [pasted(alpha), `/ip4/31.0.0.1/tcp/4001/p2p/${bravo.peerId}`, away]
    const { stdout, code } = await posternIn(lab, ['doctor', ...named.flatMap(peer)])
    expect(code).toBe(0)
    expect(stdout).toContain('Verdict: public (unverified)\n')
    expect(stdout).toMatch(/^Witness: \/ip4\/21\.0\.0\.1.*: reached it from outside \(\/ip4\/11\.0\.0\.2\/tcp\/\d+\)$/m)
    expect(stdout).toMatch(/^Witness: \/ip4\/31\.0\.0\.1.*: not asked: it does not offer AutoNAT v2/m)
    expect(stdout).toMatch(/^Witness: \/ip4\/41\.0\.0\.1.*: not connected: /m)
  })

  it('doctor --peer reports private if there is nothing to verify', async () => {
    const lab = await enter(withPeers('no-daemon'))
    const relays = await Promise.all(['alpha', 'bravo'].map((host) => startRelay(lab, host)))
    const named = [...relays.map(pasted), away].flatMap(peer)
    const { stdout, stderr, code } = await posternIn(lab, ['doctor', '--json', ...named])
    expect(code).toBe(11)
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'private', cause: 'no-mapping-service' })
    expect(stderr).toContain(`! ${away} is not connected: `)
  })

  it.each([
    ['cloud', ['--port', '4001']],
    ['dmz', []],
    ['forwarded', ['--port', '4001']]
  ] as const)(
    'doctor --peer finds the open port of the topology %s, although no router maps it',
    async (name, port) => {
      const lab = await enter(withPeers(name))
      const relays = await Promise.all(['alpha', 'bravo'].map((host) => startRelay(lab, host)))
      const { verdict, cause, candidates } = await doctorReport(lab, ...port, ...relays.map(pasted).flatMap(peer))
      expect({ verdict, cause }).toEqual({ verdict: 'public', cause: null })
      expect(candidates).toMatchObject([{ type: 'observed', strategy: 'autonat', state: 'verified' }])
    }
  )

  it('doctor --peer listens on the port of a manual forward', async () => {
    const lab = await enter(withPeers('no-daemon'))
    const relays = await Promise.all(['alpha', 'bravo'].map((host) => startRelay(lab, host)))
    const rule = (chain: string, ...words: readonly string[]): Promise<unknown> =>
      lab.run('router', ['nft', 'add', 'rule', 'inet', 'router', chain, 'tcp', 'dport', '8080', ...words])
    await rule('prerouting_miniupnpd', 'dnat', 'ip', 'to', '192.168.1.2:8080')
    await rule('miniupnpd', 'accept')
    const named = relays.map(pasted).flatMap(peer)
    const via = ['--via', 'manual:11.0.0.2:8080']
    const { verdict, cause, candidates } = await doctorReport(lab, ...via, ...named)
    expect({ verdict, cause }).toEqual({ verdict: 'public', cause: null })
    expect(candidates[0]).toMatchObject({ type: 'manual', state: 'verified', endpoint: { port: 8080 } })

    const busy = lab.spawn('home', [
      process.execPath,
      '-e',
      "require('net').createServer().listen(8080, () => console.log('on'))"
    ])
    await once(busy.stdout ?? busy, 'data')
    const { stderr, code } = await posternIn(lab, ['doctor', ...via, ...named])
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('another program of this host listens on TCP port 8080')
    })
    const alone = await posternIn(lab, ['doctor', ...via])
    expect(alone.stdout).toContain('Verdict: unknown (unverified)\n')
    expect(alone.stderr).toContain('doctor cannot tell whether connections to it arrive')
    busy.kill()
  })
})
