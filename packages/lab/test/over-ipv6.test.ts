import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { canRunLab, openLab } from '../src/index.js'
import { serve, visit } from './support/programs.js'

const support = await canRunLab()
const hasTun = existsSync('/dev/net/tun')
const why = support.ok ? (hasTun ? '' : ' (skipped: there is no /dev/net/tun)') : ` (skipped: ${support.reason})`

/** Asks the DNS servers of `/etc/resolv.conf`. */
const ask = (method: 'resolve4' | 'resolve6', name: string): readonly string[] => [
  process.execPath,
  '-e',
  `require('node:dns').promises.${method}('${name}').then((found) => console.log(found.join()), ({ code }) => console.log(code))`
]

describe.skipIf(!support.ok || !hasTun)(`IPv4 over IPv6${why}`, { timeout: 15_000 }, () => {
  it('a host with IPv6 only reaches an IPv4 server through the NAT64, and only there', async () => {
    await using lab = await openLab('nat64')
    await serve(lab, 'internet', 80)
    expect(await visit(lab, 'home', 'http://[64:ff9b::b00:1]/')).toBe('from internet, to 11.0.0.2')
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('ENETUNREACH')
  })

  it('the DNS server of a lab knows the planned names, and no others', async () => {
    await using lab = await openLab('nat64')
    const { stdout } = await lab.run('home', ask('resolve6', 'ipv4only.arpa'))
    expect(stdout.trim().split(',').toSorted()).toEqual(['64:ff9b::c000:aa', '64:ff9b::c000:ab'])
    expect((await lab.run('home', ask('resolve4', 'ipv4only.arpa'))).stdout.trim().split(',').toSorted()).toEqual([
      '192.0.0.170',
      '192.0.0.171'
    ])
    expect((await lab.run('home', ask('resolve6', 'example.org'))).stdout).toBe('ENOTFOUND\n')
  })

  it('a host with a CLAT reaches an IPv4 server at its IPv4 address', async () => {
    await using lab = await openLab('464xlat')
    await serve(lab, 'internet', 80)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.2')
  })
})

describe.skipIf(!support.ok)(`DS-Lite${why}`, { timeout: 15_000 }, () => {
  it('the provider translates what comes out of the tunnel', async () => {
    await using lab = await openLab('ds-lite')
    await serve(lab, 'internet', 80)
    expect(await visit(lab, 'home', 'http://11.0.0.1/')).toBe('from internet, to 11.0.0.2')
    expect(lab.address('router', 'wan')).toBe('192.0.0.2')
  })
})
