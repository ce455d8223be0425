import { systemHost } from '@postern/core'
import type { ServerHost } from '@postern/interface'
import { describe, expect, it } from 'vitest'
import { parseLadder, parsePlainLadder } from '../src/index.js'

const host: ServerHost = { ...systemHost, arrivals: () => undefined }
const names = (text: string): readonly string[] =>
  parseLadder(text).map((strategy) => {
    const { name, gateway } = strategy(host)
    return gateway === undefined ? name : `${name}:${gateway}`
  })

describe('parseLadder', () => {
  it.each([
    ['any', ['pcp', 'nat-pmp', 'upnp']],
    ['none', []],
    ['upnp', ['upnp']],
    ['upnp,pcp', ['upnp', 'pcp']],
    [' nat-pmp , upnp ', ['nat-pmp', 'upnp']],
    ['nat-pmp:192.168.1.1', ['nat-pmp:192.168.1.1']],
    ['pcp:fe80::1', ['pcp:fe80::1']],
    ['pcp:[2a00::1]', ['pcp:2a00::1']],
    ['manual:11.0.0.2:8080,any', ['manual', 'pcp', 'nat-pmp', 'upnp']],
    ['manual:[2a00::1]:8080', ['manual']],
    ['manual:8080', ['manual']],
    ['any,stun:stun.example.org', ['pcp', 'nat-pmp', 'upnp', 'stun']],
    ['stun:203.0.113.1:3479,upnp,stun:[2a00::1],stun:203.0.113.1:3479', ['stun', 'upnp']],
    ['any,ssh:me@vps.example.org', ['pcp', 'nat-pmp', 'upnp', 'ssh']],
    ['ssh:vps.example.org:2222,ssh:me@[2a00::9]:22', ['ssh', 'ssh']],
    ['upnp, bore:bore.example.org', ['upnp', 'bore']],
    ['any,witness:11.0.0.9:4003', ['pcp', 'nat-pmp', 'upnp', 'witness']],
    ['witness:https://witness.example.org/a', ['witness']],
    ['pcp,witness:[2a00::9]:4003, upnp,witness:http://11.0.0.9', ['pcp', 'witness', 'upnp']]
  ])('parseLadder parses %j', (text, expected) => {
    expect(names(text)).toEqual(expected)
  })

  it.each([
    '',
    'any,',
    'none,pcp',
    'PCP',
    'pcp:',
    'pcp:router',
    'nat-pmp:2a00::1',
    'manual',
    'manual:',
    'manual:1.2.3:80',
    'manual:11.0.0.2:0',
    'manual:11.0.0.2:99999',
    'any:1',
    'stun',
    'stun:',
    'stun:a b',
    'stuns:stun.example.org',
    'witness',
    'witness:',
    'witness:ftp://11.0.0.9',
    'witness:192.168.1.1:4003',
    ',witness:11.0.0.9',
    'none,witness:11.0.0.9',
    'witness:11.0.0.9,none',
    'pcpp,witness:11.0.0.9',
    'ssh',
    'ssh:',
    'ssh:me@',
    'ssh:me@vps.example.org:0',
    'ssh:a b',
    'bore',
    'bore:',
    'bore:a b',
    'none,ssh:me@vps.example.org'
  ])('parseLadder throws a TypeError for %j', (text) => {
    expect(() => parseLadder(text)).toThrow(TypeError)
  })

  it.each([
    ['any,', 'before or after a comma'],
    [',', 'before or after a comma'],
    ['none,pcp', '"none" stands alone'],
    ['pcp:', 'give an IP address after the colon']
  ])('parseLadder explains the error in %j: %s', (text, expected) => {
    expect(() => parseLadder(text)).toThrow(expected)
  })

  it('parsePlainLadder parses the same text, and throws a TypeError for a witness', () => {
    expect(parsePlainLadder('pcp,upnp')).toHaveLength(2)
    expect(() => parsePlainLadder('pcp,witness:11.0.0.9')).toThrow(/there is none here/)
  })
})
