import { betweenTiers, type Lab, withPeers } from '@postern/lab'
import { describe, expect, it, vi } from 'vitest'
import { command, enter, fetchedIn, folder, type Running, support, why } from '../../support/in-lab.js'
import { pasted, startRelay } from '../../support/relays.js'

const url = 'http://127.0.0.1:9464/metrics'
const metricsOf = (lab: Lab): Promise<string> => fetchedIn(lab, 'home', url)

/** Returns the value of a series; 0 without one. */
const valueOf = (text: string, series: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length + 1) ?? 0
  )

async function circuitOf(running: Running): Promise<string> {
  for (;;) {
    const { addresses } = await running.next('addresses')
    const found = addresses?.find((each) => each.includes('/p2p-circuit'))
    if (found !== undefined) return found
  }
}

describe.skipIf(!support.ok)(`postern peer --metrics${why}`, { timeout: 60_000 }, () => {
  it('the votes of two witnesses are counted, and the reservation beside the mapping', async () => {
    const lab = await enter(withPeers('home'))
    const relays = (await Promise.all([startRelay(lab, 'alpha'), startRelay(lab, 'bravo')])).map(pasted)
    const known = relays.flatMap((each) => ['--relay', each, '--peer', each])
    const args = ['peer', '--json', '--via', 'pcp', '--metrics', '9464', ...known]
    const home = command(lab, args, await folder())
    await home.next('verified')
    await vi.waitFor(async () => expect(await metricsOf(lab)).toContain('verdict{postern_verdict="public"} 1'), {
      timeout: 10_000
    })
    const text = await metricsOf(lab)
    expect(valueOf(text, 'postern_witness_votes_total{postern_strategy="autonat",postern_vote="reachable"}')).toBe(2)
    expect(valueOf(text, 'postern_lease_grants_total{postern_strategy="pcp"}')).toBe(1)
    const reserved = valueOf(text, 'postern_lease_grants_total{postern_strategy="relay"}')
    const outcome = 'postern_verb="reserve",postern_outcome="success"'
    const asked = `postern_strategy_request_duration_seconds_count{postern_strategy="relay",${outcome}}`
    expect(valueOf(text, asked)).toBe(reserved)
    expect(valueOf(text, 'postern_mapping_events_total{postern_event="verified"}')).toBe(1)
    // Those of libp2p are there, too.
    expect(text).toContain('\nlibp2p_connection_manager_connections{')
    home.child.kill('SIGTERM')
    expect(await home.ended).toBe(0)
    expect(await metricsOf(lab)).toBe('ECONNREFUSED\n')
  })

  it('a hole punch that succeeds is counted at both ends', async () => {
    const lab = await enter(withPeers(betweenTiers('home', 'home')))
    const relays = (await Promise.all([startRelay(lab, 'alpha'), startRelay(lab, 'bravo')])).map(pasted)
    const named = ['--via', 'none', '--json', '--metrics', '9464', ...relays.flatMap((relay) => ['--relay', relay])]
    const there = command(lab, ['peer', ...named], await folder(), 'home')
    const circuit = await circuitOf(there)
    const here = command(lab, ['peer', ...named, '--dial', circuit], await folder(), 'home2')
    for (const [host, running] of [
      ['home', there],
      ['home2', here]
    ] as const) {
      while ((await running.next('upgrade')).state !== 'direct');
      const told = running.told.filter(({ event, state }) => event === 'upgrade' && state === 'direct').length
      const text = await fetchedIn(lab, host, url)
      const series = 'postern_peer_upgrades_total{postern_strategy="hole-punch",postern_upgrade="direct"}'
      expect([host, valueOf(text, series)]).toEqual([host, told])
    }
  })
})
