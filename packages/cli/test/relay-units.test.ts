import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { announceOf } from '../src/commands/relay/addresses.js'
import { loadKey } from '../src/shared/key-file.js'
import { listenFailure } from '../src/shared/libp2p-stack.js'

describe('the addresses that a relay announces', () => {
  const own = ['127.0.0.1', '::1', '192.168.1.2', '8.8.4.4', '2606:4700::1', 'fe80::1']

  it.each([
    ['/ip4/0.0.0.0/tcp/4001', ['/ip4/8.8.4.4/tcp/4001']],
    ['/ip4/0.0.0.0/tcp/4002/ws', ['/ip4/8.8.4.4/tcp/4002/ws']],
    ['/ip6/::/tcp/4001', ['/ip6/2606:4700::1/tcp/4001']],
    ['/ip4/8.8.4.4/tcp/4001', ['/ip4/8.8.4.4/tcp/4001']],
    ['/ip4/192.168.1.2/tcp/4001', []],
    ['/ip4/0.0.0.0/tcp/0', []]
  ])('announceOf returns public addresses of this machine: %s gives %j', (listen, announced) => {
    expect(announceOf([listen], own)).toEqual(announced)
  })

  it('announceOf returns none without a public address', () => {
    expect(announceOf(['/ip4/0.0.0.0/tcp/4001'], ['127.0.0.1', '10.0.0.2'])).toEqual([])
  })
})

describe('the key of a node', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  const warnings: string[] = []
  const load = (name: string): ReturnType<typeof loadKey> => loadKey(join(folder, name), (text) => warnings.push(text))

  it('loadKey creates a key once with mode 0600 and returns it ever after', async () => {
    const made = await load('new/relay.key')
    expect((await stat(join(folder, 'new/relay.key'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(folder, 'new'))).mode & 0o777).toBe(0o700)
    expect((await load('new/relay.key')).equals(made)).toBe(true)
    expect(warnings).toEqual([])
  })

  it('loadKey warns about a key that other users can read', async () => {
    await load('open.key')
    await chmod(join(folder, 'open.key'), 0o644)
    await load('open.key')
    expect(warnings.splice(0)).toEqual([expect.stringContaining('chmod 600')])
  })

  it('loadKey never overwrites a file with other content', async () => {
    await writeFile(join(folder, 'other.key'), 'not a key', { mode: 0o600 })
    await expect(load('other.key')).rejects.toThrow('Move it away')
    expect(await readFile(join(folder, 'other.key'), 'utf8')).toBe('not a key')
  })

  it('loadKey suggests another place if it cannot write', async () => {
    await expect(loadKey('/dev/null/relay.key', () => undefined)).rejects.toThrow('--key')
  })
})

describe('listenFailure', () => {
  it('listenFailure names each address, and what to do', () => {
    const text = `Some configured addresses failed to be listened on:

  /ip4/0.0.0.0/tcp/4001: Error: listen EADDRINUSE: address already in use 0.0.0.0:4001
      at Server.setupListenHandle [as _listen2] (node:net:2328:16)

  /ip4/7.7.7.7/tcp/80/ws: Error: listen EADDRNOTAVAIL: address not available 7.7.7.7:80
`
    expect(listenFailure(new Error(text))).toBe(
      [
        'cannot listen on /ip4/0.0.0.0/tcp/4001: another program has the port. End that one, or choose another port',
        '  cannot listen on /ip4/7.7.7.7/tcp/80/ws: this machine does not have that address'
      ].join('\n')
    )
  })

  it('listenFailure names the port of the metrics', () => {
    const error = new Error('listen EADDRINUSE: address already in use 127.0.0.1:9464')
    expect(listenFailure(error)).toMatch(/^cannot listen on 127\.0\.0\.1:9464: another program has the port\./)
  })
})
