import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { command, enter, externalOf, folder, posternIn, serve, support, visit, why } from '../../support/in-lab.js'

/** Returns the text of all files in a folder and below. */
async function textIn(within: string): Promise<string> {
  const entries = await readdir(within, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const read = ({ parentPath, name }: (typeof files)[number]): Promise<string> =>
    readFile(join(parentPath, name), 'utf8')
  return (await Promise.all(files.map((file) => read(file).catch(() => '')))).join('\n')
}

describe.skipIf(!support.ok).concurrent(`postern map${why}`, { timeout: 30_000 }, () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('map maps until %s, then releases and exits with 0', async (signal) => {
    const lab = await enter('home')
    await serve(lab, 'home', 8080)
    const map = command(lab, ['map', '8080', '--json'], await folder())
    expect(await map.next('mapped')).toEqual({
      event: 'mapped',
      strategy: 'pcp',
      protocol: 'tcp',
      internal: { address: '192.168.1.2', port: 8080 },
      external: { address: '11.0.0.2', port: 8080 },
      lifetimeSeconds: 7200
    })
    expect(await visit(lab, '11.0.0.2', 8080)).toBe('hello from home')
    map.child.kill(signal)
    await map.next('released')
    expect(await map.ended).toBe(0)
    expect(await lab.rules()).toEqual([])
  })

  it('map reuses its mapping after kill -9', async () => {
    const lab = await enter('home')
    const state = await folder()
    const first = command(lab, ['map', '8080/udp', '--json', '--external-port', '9999'], state)
    await first.next('mapped')
    // The grant is stored soon, but not at once.
    await vi.waitFor(async () => expect(await textIn(state)).toContain('"externalPort": 9999'), { timeout: 10_000 })
    first.child.kill('SIGKILL')
    await first.ended
    const second = command(lab, ['map', '8080/udp', '--json'], state)
    expect(externalOf(await second.next('mapped')).port).toBe(9999)
    expect(await lab.rules()).toHaveLength(1)
  })

  it('map --once exits with 0 after the first result and leaves the mapping', async () => {
    const lab = await enter('home-upnp')
    const { code, stdout, stderr } = await posternIn(lab, ['map', '8080', '--once', '--json', '--lifetime', '10m'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ event: 'mapped', strategy: 'upnp', lifetimeSeconds: 600 })
    expect(stderr).toContain('no program listens on tcp port 8080')
    expect(await lab.rules()).toHaveLength(1)
  })

  it('map --once tells the web address of a server that answers', async () => {
    const lab = await enter('home')
    const server = `require('node:http').createServer((_, to) => to.end('hi')).listen(8080, () => console.log('listening'))`
    const child = lab.spawn('home', [process.execPath, '-e', server], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (child.stdout === null) throw new Error('no output')
    await once(child.stdout, 'data')
    for (let count = 0; count < 3; count++) {
      const { stdout } = await posternIn(lab, ['map', '8080', '--once', '--json', '--via', 'pcp'])
      expect(JSON.parse(stdout)).toMatchObject({ event: 'mapped', url: 'http://11.0.0.2:8080/' })
    }
  })

  it('map reports one cause for a refused port below 1024, and a command that works', async () => {
    const lab = await enter('home')
    const { code, stdout, stderr } = await posternIn(lab, ['map', '80', '--once'])
    expect(code).toBe(1)
    expect(stdout).toContain('failed   tcp port 80: the router refuses port 80: many routers map no port below 1024\n')
    expect(stdout).toContain('Let the program listen on a port of 1024 or above')
    expect(stdout + stderr).not.toMatch(/not allow|turned off|no room/)
    const [, next = ''] = /^\$ Once the program listens on port 8080: postern (.*)$/m.exec(stdout) ?? []
    const again = await posternIn(lab, [...next.split(' '), '--once'])
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining('→ 11.0.0.2:8080')])
  })

  it('map --once exits with 1 if nothing works, with every reason', async () => {
    const lab = await enter('no-daemon')
    const state = await folder()
    const { code, stdout } = await posternIn(lab, ['map', '8080', '--once', '--json'], 'home', state)
    expect(code).toBe(1)
    expect(await readdir(join(state, 'postern', 'endpoints'))).toEqual([])
    expect(JSON.parse(stdout)).toMatchObject({
      event: 'failed',
      strategy: null,
      external: null,
      lifetimeSeconds: null,
      reasons: [{ strategy: 'pcp' }, { strategy: 'nat-pmp' }, { strategy: 'upnp' }]
    })
  })

  it('map rejects --via none, which can map nothing', async () => {
    const lab = await enter('home')
    for (const more of [[], ['--once']]) {
      const { code, stdout, stderr } = await posternIn(lab, ['map', '8080', '--via', 'none', ...more])
      expect([code, stdout]).toEqual([2, ''])
      expect(stderr).toContain('It maps nothing: leave the option out, or name strategies')
    }
  })

  it('map rejects strategies that map nothing, such as a STUN server', async () => {
    const lab = await enter('home')
    const { code, stdout, stderr } = await posternIn(lab, ['map', '8080', '--once', '--via', 'stun:127.0.0.1'])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('It maps nothing: leave the option out, or name strategies')
  })

  it('map uses the strategies of --via in their order', async () => {
    const lab = await enter('home')
    const { stdout } = await posternIn(lab, ['map', '8080', '--once', '--json', '--via', 'nat-pmp:192.168.1.1,pcp'])
    expect(JSON.parse(stdout)).toMatchObject({ event: 'mapped', strategy: 'nat-pmp' })
  })

  it('map does not reset its test connection, which some servers do not survive', async () => {
    const lab = await enter('home')
    await serve(lab, 'home', 8080)
    for (let count = 0; count < 5; count++) await posternIn(lab, ['map', '8080', '--once', '--json'])
    expect(await visit(lab, '11.0.0.2', 8080)).toBe('hello from home')
  })

  it('map prints events as text', async () => {
    const lab = await enter('home')
    const { stdout } = await posternIn(lab, ['map', '8080', '--once', '--via', 'nat-pmp'])
    expect(stdout.split('\n').slice(0, 2)).toEqual([
      '✔ mapped   tcp 192.168.1.2:8080 → 11.0.0.2:8080 by nat-pmp, for 2 h',
      'Verdict: public (unverified)'
    ])
  })

  it('map prints no tick for a doubtful address, and says why', async () => {
    const lab = await enter('lying')
    const { code, stdout } = await posternIn(lab, ['map', '8080', '--once'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^! mapped .*\nVerdict: private \(double-nat\)\n→ /)
    expect(stdout).toContain('postern doctor')
  })

  it('map --json reports why an address is doubtful', async () => {
    const lab = await enter('lying')
    const { stdout } = await posternIn(lab, ['map', '8080', '--once', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ event: 'mapped', verdict: 'private', cause: 'double-nat' })
  })

  it('map reports that the router gave another port', async () => {
    const lab = await enter('home')
    const { stdout } = await posternIn(lab, ['map', '8080', '--once', '--external-port', '443'])
    expect(stdout).toContain('! port 443 was asked for, and the router gave port 1024')
    const { stdout: told } = await posternIn(lab, ['map', '8081', '--once', '--json', '--external-port', '443'])
    expect(JSON.parse(told)).toMatchObject({ event: 'mapped', requestedPort: 443 })
  })
})
