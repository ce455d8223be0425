import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { withPeers } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { command, enter, fetchedIn, folder, posternIn, type Running, support, why } from '../../support/in-lab.js'
import { pasted, startRelay } from '../../support/relays.js'

const reserve = fileURLToPath(new URL('../../support/reserve.mjs', import.meta.url))
/** Resolves to the first address of a kind that a node announces. */
async function addressOf(node: Running, isIt: (address: string) => boolean): Promise<string> {
  for (;;) {
    const { addresses } = await node.next('addresses')
    const found = Array.isArray(addresses) ? addresses.map(String).find(isIt) : undefined
    if (found !== undefined) return found
  }
}

describe.skipIf(!support.ok).concurrent(`postern relay${why}`, { timeout: 40_000 }, () => {
  it('relay prints addresses to paste, keeps its peer id, and ends cleanly at SIGTERM', async () => {
    const lab = await enter(withPeers('home'))
    const state = await folder()
    const args = ['relay', '--json', '--key', `${state}/keys/relay.key`]
    const first = command(lab, args, state, 'alpha')
    const told = await first.next('listening')
    expect(told).toMatchObject({
      addresses: [
        expect.stringMatching(/^\/ip4\/21\.0\.0\.1\/tcp\/4001\/p2p\/12D3Koo/),
        expect.stringMatching(/^\/ip4\/21\.0\.0\.1\/tcp\/4002\/ws\/p2p\/12D3Koo/)
      ]
    })
    expect((await stat(`${state}/keys/relay.key`)).mode & 0o777).toBe(0o600)
    const { code, stdout, stderr } = await posternIn(lab, ['relay', '--json'], 'alpha')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('cannot listen on /ip4/0.0.0.0/tcp/4001: another program has the port.')
    const asked = performance.now()
    first.child.kill('SIGTERM')
    expect(await first.ended).toBe(0)
    expect(performance.now() - asked).toBeLessThan(5000)
    expect(first.told.at(-1)).toEqual({ event: 'stopped' })
    const second = command(lab, args, state, 'alpha')
    expect(await second.next('listening')).toEqual(told)
  })

  it('relay refuses the fifth reservation from one IP address, and counts it', async () => {
    const lab = await enter(withPeers('home'))
    const flags = ['--metrics', '9464', '--duration', '90s', '--data', '1MiB', '--max-reservations', '50']
    const alpha = await startRelay(lab, 'alpha', ...flags)
    const { stdout } = await lab.run('home', [process.execPath, reserve, pasted(alpha), '5'], { timeoutMs: 20_000 })
    const answers: unknown = JSON.parse(stdout)
    // The duration is in seconds, as specified.
    const granted = { duration: 90, data: 1_048_576 }
    const refused = { refused: 'the relay has no room for another reservation (status 200)' }
    expect(answers).toEqual([granted, granted, granted, granted, refused])
    const metrics = await fetchedIn(lab, 'alpha', 'http://127.0.0.1:9464/metrics')
    expect(metrics).toMatch(/^postern_relay_reservations_total 4$/m)
    expect(metrics).toMatch(/^postern_relay_reservations_refused_total\{reason="ip"\} 1$/m)
    expect(metrics).toMatch(/^postern_relay_reservations_max 50$/m)
    expect(metrics).toMatch(/^postern_relay_connections_max 1024$/m)
    // The clients have ended, and so have their reservations.
    expect(metrics).toMatch(/^postern_relay_reservations 0$/m)
    expect(await fetchedIn(lab, 'outsider', 'http://21.0.0.1:9464/metrics')).toBe('ECONNREFUSED\n')
  })
})

describe.skipIf(!support.ok)(`postern peer${why}`, { timeout: 40_000 }, () => {
  it('node is reached through a relay, then directly after verification, and releases everything', async () => {
    const lab = await enter(withPeers('home'))
    const [alpha, bravo] = await Promise.all([
      startRelay(lab, 'alpha', '--metrics', '9464'),
      startRelay(lab, 'bravo', '--metrics', '9464')
    ])
    const known = [alpha, bravo].flatMap((each) => ['--relay', pasted(each), '--peer', pasted(each)])
    const home = command(lab, ['peer', '--json', ...known], await folder())
    const through = await addressOf(home, (address) => address.includes('/p2p-circuit'))
    expect(await home.next('verified')).toMatchObject({ external: { address: '11.0.0.2' }, protocol: 'tcp' })
    const direct = await addressOf(home, (address) => address.startsWith('/ip4/11.0.0.2/'))

    const dials = ['--dial', through, '--dial', direct]
    const outsider = command(lab, ['peer', '--json', '--via', 'none', ...dials], await folder(), 'outsider')
    const dialled = [await outsider.next('dialled'), await outsider.next('dialled')]
    expect(dialled.find(({ direct: isDirect }) => isDirect === true)).toMatchObject({ address: direct, limits: null })
    expect(dialled.find(({ direct: isDirect }) => isDirect === false)).toMatchObject({
      address: through,
      limits: { seconds: 120, bytes: expect.any(Number) },
      rttMs: expect.any(Number)
    })
    const used = through.startsWith('/ip4/21.0.0.1/') ? 'alpha' : 'bravo'
    const metrics = await fetchedIn(lab, used, 'http://127.0.0.1:9464/metrics')
    expect(metrics).toMatch(/^postern_relay_connections_total [1-9]/m)
    expect(metrics).toMatch(/^postern_relay_connections [1-9]/m)
    expect(metrics).toMatch(/^postern_autonat_answers_total\{answer="reached"\} [1-9]/m)

    for (const { child, ended } of [outsider, home, alpha.running, bravo.running]) {
      child.kill('SIGTERM')
      expect(await ended).toBe(0)
    }
    expect(home.told.map(({ event }) => event)).toContain('released')
    expect(await lab.rules()).toEqual([])
  })
})
