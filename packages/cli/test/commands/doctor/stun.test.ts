import { withStun } from '@postern/lab'
import { describe, expect, it } from 'vitest'
import { doctorReport, enter, posternIn, support, why } from '../../support/in-lab.js'

describe.skipIf(!support.ok).concurrent(`postern doctor --stun${why}`, { timeout: 30_000 }, () => {
  it('doctor --stun reports the NAT behaviour', async () => {
    const lab = await enter(withStun('no-daemon'))
    const { nat, verdict, strategies } = await doctorReport(lab, '--stun', '21.0.0.1', '--stun', 'stun:31.0.0.1:3478')
    const filtering = 'address-and-port-dependent'
    expect([verdict, nat]).toEqual(['private', { mapping: 'endpoint-independent', filtering, hairpin: 'fails' }])
    expect(strategies.at(-1)).toMatchObject({ name: 'stun', kind: 'observer', state: 'active' })
  })

  it('doctor --stun describes the NAT in words, and what does not work', async () => {
    const { stdout } = await posternIn(await enter(withStun('symmetric')), ['doctor', '--stun', '21.0.0.1'])
    expect(stdout).toContain('NAT: mapping address-and-port-dependent, filtering address-and-port-dependent')
    expect(stdout).toContain('hole punching does not get through')
  })

  it('doctor --stun says that a server with one address shows little', async () => {
    const { stdout } = await posternIn(await enter(withStun('no-daemon')), ['doctor', '--stun', '31.0.0.1'])
    expect(stdout).toContain('NAT: unknown, one address of one STUN server does not show it\n')
  })

  it('doctor --stun reports nothing about the NAT if UDP is blocked', async () => {
    const { stdout } = await posternIn(await enter(withStun('udp-blocked')), ['doctor', '--stun', '21.0.0.1'])
    expect(stdout).toContain('NAT: unknown, no STUN server was of use\n')
    expect(stdout).toMatch(/stun +failed .* no answer from the STUN server 21\.0\.0\.1 port 3478/)
    expect(stdout).toContain('blocks UDP')
  })

  it('doctor --stun says why a server is useless: no DNS, a closed port, another family', async () => {
    const { stdout } = await posternIn(await enter(withStun('no-daemon')), ['doctor', '--stun', 'stun.example.org'])
    expect(stdout).toMatch(/stun +unavailable .* the name stun\.example\.org .* name the server by its IP address/)
    const closed = await posternIn(await enter(withStun('no-daemon')), ['doctor', '--stun', '21.0.0.1:9'])
    expect(closed.stdout).toMatch(/stun +failed .* 21\.0\.0\.1 port 9/)
    const six = await posternIn(await enter(withStun('no-daemon')), ['doctor', '--stun', '[2001:db8::1]:3478'])
    expect(six.stdout).toMatch(/stun +failed .* no server has an IPv4 address/)
  })

  it('doctor --stun with --peer reports both', async () => {
    const lab = await enter(withStun('no-daemon'))
    const peer = '/ip4/41.0.0.1/tcp/4001/p2p/12D3KooWQz7xaxsdcoBQfAXxTuTUx2gWJjgkb9jUjEi8F3QYc2Ln'
    const { nat } = await doctorReport(lab, '--stun', '21.0.0.1', '--peer', peer)
    expect(nat?.mapping).toBe('endpoint-independent')
  })

  it('doctor --stun with an invalid server is a usage error', async () => {
    const { code, stderr } = await posternIn(await enter('no-daemon'), ['doctor', '--stun', 'stuns:a'])
    expect([code, stderr]).toEqual([2, expect.stringContaining('"stuns:a" is not a STUN server')])
  })
})
