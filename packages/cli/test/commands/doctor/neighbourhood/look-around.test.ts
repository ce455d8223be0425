import { existsSync } from 'node:fs'
import { type TopologyName, withRouter, withStun } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { type Look, lookAround } from '../../../../src/commands/doctor/neighbourhood/look-around.js'
import { doctorReport, enter, posternIn, support, why } from '../../../support/in-lab.js'
import { reportWith } from '../../../support/report.js'
import { startWitness } from '../../../support/witnesses.js'

const ordinary: ReturnType<Look['found']> = {
  udp: 'unknown',
  ipv6: { outbound: 'none', inbound: 'unknown' },
  translation: null,
  captivePortal: null
}
const page = 'http://11.0.0.1/generate_204'
const hasTun = existsSync('/dev/net/tun')

describe('the look at the neighbourhood', () => {
  it('asks nothing but the DNS, ends with the signal, and keeps what is not known unknown', async () => {
    const controller = new AbortController()
    const asked: string[] = []
    const network = { gateways: [], addresses: ['2a00:1::2'] }
    const around = lookAround({
      resolve6: (name) => {
        asked.push(name)
        return new Promise(() => undefined)
      }
    })(network, controller)
    await around.settled
    expect(asked).toEqual(['ipv4only.arpa'])
    expect(around.found(reportWith())).toEqual(ordinary)
    expect(around.complete(reportWith())).toEqual(reportWith())
    controller.abort()
  })

  it('is settled after an interruption', async () => {
    const controller = new AbortController()
    const lookup = (): Promise<never> => new Promise(() => undefined)
    const network = { gateways: [], addresses: [] }
    const around = lookAround({ servers: [{ host: 'stun.example.org', port: 3478 }], lookup })(network, controller)
    controller.abort()
    await around.settled
    expect(around.found(reportWith()).udp).toBe('unknown')
  })
})

describe.skipIf(!support.ok).concurrent(`the neighbourhood in the lab${why}`, { timeout: 40_000 }, () => {
  const names: TopologyName[] = ['home', 'no-daemon', 'double-nat', 'carrier-nat']
  it.each(names)('doctor has nothing to say about the neighbourhood of %s', async (name) => {
    const lab = await enter(name)
    expect((await doctorReport(lab, '--quick')).neighbourhood).toMatchObject(ordinary)
    expect((await posternIn(lab, ['doctor', '--quick'])).stdout).not.toContain('Neighbourhood')
  })

  it('doctor finds that UDP is blocked, with one STUN server that answers over TCP', async () => {
    const lab = await enter(withStun('udp-blocked'))
    const { neighbourhood, advice } = await doctorReport(lab, '--stun', '21.0.0.1')
    expect(neighbourhood).toMatchObject({ ...ordinary, udp: 'blocked' })
    expect(advice.filter((text) => text.includes('UDP'))).toEqual([expect.stringContaining('blocks UDP')])
  })

  it('doctor concludes nothing from one STUN server that is not there', async () => {
    const lab = await enter(withStun('udp-blocked'))
    const { neighbourhood } = await doctorReport(lab, '--quick', '--stun', '41.0.0.1')
    expect(neighbourhood).toMatchObject(ordinary)
  })

  it('doctor finds that UDP works, also with a server of --via', async () => {
    const lab = await enter(withStun('no-daemon'))
    expect((await doctorReport(lab, '--quick', '--stun', '31.0.0.1')).neighbourhood?.udp).toBe('works')
    const { neighbourhood } = await doctorReport(lab, '--quick', '--via', 'pcp,stun:31.0.0.1')
    expect(neighbourhood?.udp).toBe('works')
  })

  it('doctor finds that IPv6 works outwards, and is blocked inwards by a firewall without pinholes', async () => {
    const lab = await enter(withStun(withRouter('ipv6-firewall', { mapping: 'refused' })))
    await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host, '--listen', '[::]:4003')))
    const witnesses = ['--witness', 'http://[2a21::1]:4003', '--witness', 'http://[2a31::1]:4003']
    const { neighbourhood, advice } = await doctorReport(lab, ...witnesses)
    expect(neighbourhood?.ipv6).toEqual({ outbound: 'works', inbound: 'blocked' })
    expect(advice.join('\n')).toContain('in the firewall of the router (fe80::1%eth0)')
  })

  it('doctor finds that IPv6 works in both directions through a pinhole', async () => {
    const lab = await enter(withStun('ipv6-firewall'))
    await Promise.all(['alpha', 'bravo'].map((host) => startWitness(lab, host, '--listen', '[::]:4003')))
    const witnesses = ['--witness', 'http://[2a21::1]:4003', '--witness', 'http://[2a31::1]:4003']
    const { neighbourhood } = await doctorReport(lab, ...witnesses)
    expect(neighbourhood?.ipv6).toEqual({ outbound: 'works', inbound: 'works' })
  })

  it('doctor finds that IPv6 does not reach out, although IPv4 does', async () => {
    const lab = await enter(withStun('ipv6-firewall'))
    await lab.run('router', ['nft', 'insert', 'rule', 'inet', 'router', 'forward', 'meta', 'nfproto', 'ipv6', 'drop'])
    const { neighbourhood, advice } = await doctorReport(lab, '--stun', '[2a21::1]:3478', '--stun', '[2a31::1]:3478')
    expect(neighbourhood).toMatchObject({ ipv6: { outbound: 'fails' }, udp: 'unknown' })
    expect(advice.join('\n')).toContain('reaches no server that was named over IPv6')
  })

  it('doctor finds DS-Lite, and suggests no second router', async () => {
    const { neighbourhood, advice, cause } = await doctorReport(await enter('ds-lite'))
    expect(cause).toBe('reserved-external-address')
    expect(neighbourhood).toMatchObject({ ...ordinary, translation: { kind: 'ds-lite', prefix: null } })
    expect(advice).toEqual([expect.stringMatching(/^Use IPv6, a relay .*DS-Lite/)])
  })

  it('doctor finds a captive portal, says where it leads, and does not follow it', async () => {
    const lab = await enter('captive-portal')
    const { neighbourhood } = await doctorReport(lab, '--quick', '--captive-portal', page)
    const location = 'http://192.168.1.1:8880/login'
    expect(neighbourhood).toMatchObject({ ...ordinary, captivePortal: { url: page, state: 'found', location } })
    const { stdout } = await posternIn(lab, ['doctor', '--quick', '--captive-portal', page])
    expect(stdout).toContain(`Neighbourhood\nCaptive portal: ${page} leads to ${location}\n\n→ Log in to this network`)
  })

  it('doctor finds no captive portal where the page answers with 204', async () => {
    const lab = await enter('home')
    const source = `require('node:http').createServer((_, r) => r.writeHead(204).end()).listen(80, () => console.log('ready'))`
    const server = lab.spawn('internet', [process.execPath, '-e', source], { stdio: 'pipe' })
    await new Promise((resolve) => server.stdout?.once('data', resolve))
    const { neighbourhood } = await doctorReport(lab, '--quick', '--captive-portal', page)
    expect(neighbourhood?.captivePortal).toEqual({ url: page, state: 'none', location: null })
  })

  it('doctor --captive-portal with another URL is a usage error', async () => {
    const { code, stderr } = await posternIn(await enter('no-daemon'), [
      'doctor',
      '--captive-portal',
      'https://a.example'
    ])
    expect([code, stderr]).toEqual([2, expect.stringContaining("--captive-portal 'https://a.example': give the URL")])
  })
})

describe.skipIf(!support.ok || !hasTun)(
  `translated IPv4 in the lab${why}${hasTun ? '' : ' (skipped: there is no /dev/net/tun)'}`,
  { timeout: 40_000 },
  () => {
    it.each([
      ['nat64', 'nat64'],
      ['464xlat', '464xlat']
    ] as const)('doctor finds the translation of %s', async (name, kind) => {
      const { neighbourhood, advice, verdict } = await doctorReport(await enter(name))
      expect(neighbourhood?.translation).toEqual({ kind, prefix: '64:ff9b::/96' })
      expect(verdict).toBe('public')
      expect(advice.at(-1)).toMatch(/^For clients without IPv6, add a relay/)
    })

    it('doctor finds that UDP works through a NAT64, which shows nothing of IPv6', async () => {
      const lab = await enter(withStun('nat64'))
      const { neighbourhood } = await doctorReport(lab, '--quick', '--stun', '[64:ff9b::1500:1]:3478')
      expect(neighbourhood).toMatchObject({ udp: 'works', ipv6: { outbound: 'unknown' } })
    })
  }
)
