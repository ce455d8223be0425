import { spawnSync } from 'node:child_process'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { fromText, ssh } from '../src/index.js'
import { readOptions, type SshOptions } from '../src/options.js'

afterEach(() => vi.unstubAllEnvs())

const host = 'vps.example.org'

describe('fromText', () => {
  it.each([
    ['vps.example.org', { host }],
    ['me@vps.example.org', { host, username: 'me' }],
    ['ssh:me@vps.example.org:2222', { host, username: 'me', port: 2222 }],
    ['ssh://me@vps.example.org:2222', { host, username: 'me', port: 2222 }],
    ['me@203.0.113.7', { host: '203.0.113.7', username: 'me' }],
    ['me@[2001:db8::7]:2222', { host: '2001:db8::7', username: 'me', port: 2222 }],
    ['me@2001:db8::7', { host: '2001:db8::7', username: 'me' }],
    ['local_host', { host: 'local_host' }]
  ])('parses %s', (text, expected) => {
    expect(fromText(text)).toEqual(expected)
    expect(() => ssh(fromText(text))).not.toThrow()
  })

  it.each([
    '',
    '@host',
    'me@',
    'me@host:0',
    'me@host:65536',
    'me@host:22x',
    'me@host/path',
    'me@203.0.113.777',
    'me@[host]:22',
    'me you@host',
    'me:secret@host',
    '-oProxyCommand=x',
    `me@${'a'.repeat(300)}`
  ])('rejects "%s" with a TypeError', (text) => {
    expect(() => fromText(text)).toThrow(TypeError)
  })
})

describe('the options', () => {
  const home = (name: string): string => join(homedir(), '.ssh', name)

  it('are those of ssh itself by default', () => {
    vi.stubEnv('SSH_AUTH_SOCK', '/run/agent')
    expect(readOptions({ host })).toMatchObject({
      port: 22,
      username: userInfo().username,
      agent: '/run/agent',
      keyFiles: ['id_ed25519', 'id_ecdsa', 'id_rsa'].map(home),
      knownHosts: [home('known_hosts'), expect.stringMatching(/ssh_known_hosts$/)],
      pins: [],
      trustOnFirstUse: false,
      bindAddress: ''
    })
  })

  it.skipIf(process.platform === 'win32')('do not depend on HOME, and take nothing from a relative folder', () => {
    vi.stubEnv('SSH_AUTH_SOCK', '')
    vi.stubEnv('HOME', '')
    const ofUser = (name: string): string => join(userInfo().homedir, '.ssh', name)
    expect(readOptions({ host })).toMatchObject({
      keyFiles: ['id_ed25519', 'id_ecdsa', 'id_rsa'].map(ofUser),
      knownHosts: [ofUser('known_hosts'), '/etc/ssh/ssh_known_hosts']
    })
  })

  it.skipIf(process.getuid?.() !== 0)('have no default files for a user without an entry and without HOME', () => {
    const script = `
      import { ssh } from '${new URL('../dist/index.js', import.meta.url).href}'
      process.setuid(987654)
      ssh({ host: 'vps.example.org', keyFile: '~/key' })
      console.log(typeof ssh({ host: 'vps.example.org' }))`
    const { HOME: _home, ...env } = process.env
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      env,
      encoding: 'utf8'
    })
    expect({ stdout, stderr }).toEqual({ stdout: 'function\n', stderr: '' })
  })

  it('use nothing else once a way to log in is named', () => {
    vi.stubEnv('SSH_AUTH_SOCK', '/run/agent')
    const of = (options: Omit<SshOptions, 'host'>): unknown => {
      const { agent, keyFiles } = readOptions({ host, ...options })
      return { agent, keyFiles }
    }
    expect(of({ keyFile: '~/.ssh/vps' })).toEqual({ agent: undefined, keyFiles: [home('vps')] })
    expect(of({ agent: '/run/other' })).toEqual({ agent: '/run/other', keyFiles: [] })
    expect(of({ password: async () => 'secret' })).toEqual({ agent: undefined, keyFiles: [] })
    expect(of({ agent: false })).toMatchObject({
      agent: undefined,
      keyFiles: [home('id_ed25519'), home('id_ecdsa'), home('id_rsa')]
    })
  })

  it.each([
    ['host', { host: 'not a host' }],
    ['host', { host: '203.0.113' }],
    ['username', { username: '' }],
    ['agent', { agent: '' }],
    ['agent', { agent: true as unknown as string }],
    ['port', { port: 0 }],
    ['externalPort', { externalPort: 70_000 }],
    ['maxConnections', { maxConnections: 0 }],
    ['keepAliveMs', { keepAliveMs: 10 }],
    ['keyFile', { keyFile: [] }],
    ['knownHosts', { knownHosts: [1 as unknown as string] }],
    ['hostKey', { hostKey: 'MD5:aa:bb' }],
    ['hostKey', { hostKey: 'SHA256:short' }],
    ['password', { password: 'secret' as unknown as () => Promise<string> }]
  ] as const)('%s: a wrong one throws a TypeError that names it', (name, options) => {
    expect(() => ssh({ host, ...options })).toThrow(TypeError)
    expect(() => ssh({ host, ...options })).toThrow(name)
  })

  it('take a fingerprint with its padding', () => {
    const hostKey = `SHA256:${'a'.repeat(43)}`
    expect(readOptions({ host, hostKey: [`${hostKey}=`] }).pins).toEqual([hostKey])
  })
})
