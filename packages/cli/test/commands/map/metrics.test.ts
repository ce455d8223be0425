import type { Lab } from '@postern/lab'
import { describe, expect, it, vi } from 'vitest'
import { command, enter, fetchedIn, folder, posternIn, serve, support, why } from '../../support/in-lab.js'

const url = 'http://127.0.0.1:9464/metrics'
const metricsOf = (lab: Lab): Promise<string> => fetchedIn(lab, 'home', url)
const requests = (verb: string): string =>
  `postern_strategy_request_duration_seconds_count{postern_strategy="pcp",postern_verb="${verb}",postern_outcome="success"}`

describe.skipIf(!support.ok).concurrent(`postern map --metrics${why}`, { timeout: 40_000 }, () => {
  it('one mapping is one request and one grant, and a reboot of the router is one renewal of it', async () => {
    const lab = await enter('home')
    await serve(lab, 'home', 8080)
    const map = command(lab, ['map', '8080', '--json', '--via', 'pcp', '--metrics', '9464'], await folder())
    expect(await map.next('metrics')).toEqual({ event: 'metrics', url })
    await map.next('mapped')
    const before = await metricsOf(lab)
    expect(before).toContain(`\n${requests('discover')} 1\n`)
    expect(before).toContain(`\n${requests('map')} 1\n`)
    expect(before).not.toContain(requests('renew'))
    expect(before).toContain('\npostern_lease_grants_total{postern_strategy="pcp"} 1\n')
    expect(before).toContain('\npostern_lease_count{postern_strategy="pcp"} 1\n')
    expect(before).toContain('\npostern_mapping_events_total{postern_event="mapped"} 1\n')
    expect(before).toContain('\nprocess_cpu_user_seconds_total ')

    await lab.reboot('router')
    await map.next('renewed')
    const after = await metricsOf(lab)
    const renewed = map.told.filter(({ event }) => event === 'renewed').length
    expect(after).toContain(`\npostern_lease_renewals_total{postern_strategy="pcp"} ${renewed}\n`)
    expect(after).toContain(`\n${requests('renew')} ${renewed}\n`)
    expect(after).toContain('\npostern_lease_grants_total{postern_strategy="pcp"} 1\n')
    expect(after).not.toMatch(/^postern_lease_lapses_total\{/m)

    map.child.kill('SIGINT')
    expect(await map.ended).toBe(0)
    expect(await lab.rules()).toEqual([])
    expect(await metricsOf(lab)).toBe('ECONNREFUSED\n')
  })

  it('a mapping to an address that the host has no more is one lapse, and the next one another grant', async () => {
    const lab = await enter('home')
    const map = command(lab, ['map', '8080', '--json', '--via', 'pcp', '--metrics', '9464'], await folder())
    await map.next('mapped')
    await lab.changeHostAddress('home', '192.168.1.50')
    await map.next('lost')
    await map.next('mapped')
    const text = await metricsOf(lab)
    expect(text).toContain('\npostern_lease_lapses_total{postern_strategy="pcp",error_type="MAPPING_LOST"} 1\n')
    expect(text).toContain('\npostern_lease_grants_total{postern_strategy="pcp"} 2\n')
    expect(text).toContain('\npostern_lease_count{postern_strategy="pcp"} 1\n')
    expect(text).toContain('\npostern_mapping_events_total{postern_event="lost"} 1\n')
    map.child.kill('SIGTERM')
    expect(await map.ended).toBe(0)
  })

  it('a network without a mapping service shows failed discoveries with their codes', async () => {
    const lab = await enter('no-daemon')
    const map = command(lab, ['map', '8080', '--json', '--via', 'pcp', '--metrics', '9464'], await folder())
    await map.next('failed')
    await vi.waitFor(
      async () =>
        expect(await metricsOf(lab)).toMatch(
          /_count\{postern_strategy="pcp",postern_verb="discover",postern_outcome="failure",error_type="[A-Z_]+"\} 1\n/
        ),
      { timeout: 15_000 }
    )
    expect(await metricsOf(lab)).toContain('\npostern_lease_count{postern_strategy="pcp"} 0\n')
    map.child.kill('SIGTERM')
    expect(await map.ended).toBe(0)
  })

  it('only programs of this machine get the metrics', async () => {
    const lab = await enter('home')
    const map = command(lab, ['map', '8080', '--json', '--metrics', '9464', '--metrics-host', 'own'], await folder())
    await map.next('metrics')
    expect(await fetchedIn(lab, 'home', 'http://192.168.1.2:9464/metrics')).toBe('ECONNREFUSED\n')
    const withHost = async (host: string): Promise<string> => {
      const script = `require('node:http').get('${url}', { headers: { host: '${host}' } }, (r) => { console.log(r.statusCode); process.exit() })`
      return (await lab.run('home', [process.execPath, '-e', script])).stdout.trim()
    }
    expect([await withHost('evil.example'), await withHost('own'), await withHost('localhost:9464')]).toEqual([
      '403',
      '200',
      '200'
    ])
    map.child.kill('SIGTERM')
    expect(await map.ended).toBe(0)
  })

  it('map ends with 1 and maps nothing if another program has the port of the metrics', async () => {
    const lab = await enter('home')
    await serve(lab, 'home', 9464)
    const { code, stdout, stderr } = await posternIn(lab, ['map', '8080', '--json', '--metrics', '9464'])
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toContain('cannot listen on 127.0.0.1:9464 for metrics: another program has the port')
    expect(await lab.rules()).toEqual([])
  })
})
