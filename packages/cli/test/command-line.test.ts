import { execFile, spawnSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ladderGrammar } from '@postern/node'
import { describe, expect, it, onTestFinished } from 'vitest'

const bin = fileURLToPath(new URL('../bin/postern.js', import.meta.url))

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const runWith = (env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const options = { env: { ...process.env, ...env } }
    const child = execFile(process.execPath, [bin, ...args], options, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, stdout, stderr })
    })
  })

const peerId = '12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5'

const run = (...args: readonly string[]): Promise<Outcome> => runWith({}, ...args)

describe('the command line', () => {
  it.each([
    [],
    ['doctor'],
    ['map'],
    ['relay'],
    ['peer'],
    ['tunnel'],
    ['tunnel', 'id'],
    ['tunnel', 'listen'],
    ['tunnel', 'connect']
  ])('explains itself with examples and exit codes: %s --help', async (...args) => {
    const { code, stdout } = await run(...args.flat(), '--help')
    expect(code).toBe(0)
    expect(stdout).toContain('Examples:')
    expect(stdout).toContain('Exit codes:')
  })

  it('peer is also called node, which no help text shows', async () => {
    const peer = await run('peer', '--help')
    expect((await run('node', '--help')).stdout.replace(/postern node/g, 'postern peer')).toBe(peer.stdout)
    expect((await run('--help')).stdout).not.toMatch(/^ {2}node /m)
  })

  it.each(['doctor', 'map', 'peer'])('the help lists the values of --via: %s --help', async (command) => {
    const { stdout } = await run(command, '--help')
    // The help is wrapped, but never within a word of the grammar.
    expect(stdout.replace(/\s+/g, ' ')).toContain(`strategies in rank order: ${ladderGrammar}`)
  })

  it('postern --version prints the version', async () => {
    for (const flag of ['--version', '-v', '-V']) expect((await run(flag)).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  it.each([
    ['--bad', 'postern'],
    ['map', 'postern map'],
    ['relay --bad', 'postern relay'],
    ['tunnel listen', 'postern tunnel listen']
  ])('a wrong argument names the help of its command: postern %s', async (args, command) => {
    const { code, stderr } = await run(...args.split(' '))
    expect(code).toBe(2)
    expect(stderr).toContain(`(see ${command} --help)`)
  })

  it('an invalid key gives advice and exit code 1', async () => {
    const { code, stdout, stderr } = await run('relay', '--key', bin)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/✘ .* holds no private key of libp2p\. Move it away/)
  })

  // macOS and Linux: Windows has no such modes.
  it.skipIf(process.platform === 'win32').each([
    ['is kept', 'of this user', 0o700, 0o700, true],
    ['is not kept', 'in one that every user can write to', 0o777, 0o700, false],
    ['is not kept', 'that every user can write to', 0o700, 0o777, false],
    ['is not kept', 'in one that a group can write to', 0o770, 0o700, false],
    ['is not kept', 'that a group can write to', 0o700, 0o770, false]
  ])('compiled code %s in a folder %s', async (_, __, above, own, isKept) => {
    const cache = await mkdtemp(join(tmpdir(), 'postern-'))
    onTestFinished(() => rm(cache, { recursive: true, force: true }))
    const folder = join(cache, 'postern')
    await mkdir(folder)
    await chmod(cache, above)
    await chmod(folder, own)
    expect(await runWith({ XDG_CACHE_HOME: cache, NODE_COMPILE_CACHE: '' }, '--version')).toMatchObject({
      code: 0,
      stderr: ''
    })
    expect((await readdir(folder)).length > 0).toBe(isKept)
  })

  it.each([
    ['is no folder', { XDG_CACHE_HOME: '/dev/null' }],
    ['has no place', { XDG_CACHE_HOME: '', HOME: '/dev/null' }],
    ['cannot be made, and recursion would never end', { XDG_CACHE_HOME: '', HOME: '/proc/nonexistent' }]
  ])('postern starts although the folder for compiled code %s', async (_, env) => {
    const { code, stdout, stderr } = await runWith({ ...env, NODE_COMPILE_CACHE: '' }, '--version')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  it.each([
    [['fly'], 'fly'],
    [['map'], 'port'],
    [['map', '0'], '8080/tcp'],
    [['map', '65536'], '8080/tcp'],
    [['map', '80/sctp'], '8080/tcp'],
    [['map', '8080', '--lifetime', '2 weeks'], '30m'],
    [['map', '8080', '--lifetime', '5'], "--lifetime '5': give a time"],
    [['map', 'abc'], "<port> 'abc': give a port"],
    [['map', '80', '--via', 'PCP'], 'Did you mean "pcp"?'],
    [['map', '8080', '--via', 'stun:203.0.113.1'], 'It maps nothing'],
    [['map', '8080', '--via', 'upnp,carrier-pigeon'], 'carrier-pigeon'],
    [['map', '8080', '--via', 'pcp:router'], 'router is not an IP address'],
    [['map', '8080', '--via', 'manual:1.2.3.4'], 'manual:<ip>:<port>'],
    [['map', '8080', '--external-port', 'x'], '65535'],
    [['doctor', '--frobnicate'], 'frobnicate'],
    [['doctor', '--peer', '21.0.0.1:4001'], 'give a multiaddr'],
    [['doctor', '--peer', '/ip4/21.0.0.1/tcp/4001'], '/p2p/<peer id>'],
    [['doctor', '--peer', '/ip4/21.0.0.1/tcp/4001/p2p/not-an-id'], 'not a multiaddr'],
    [['doctor', '--peer', `/ip4/21.0.0.1/tcp/443/tls/sni/127.0.0.1/ws/p2p/${peerId}`], 'cannot be dialled'],
    [['peer', '--dial', `/ip4/21.0.0.1/tcp/80/ws/http-path/x/p2p/${peerId}`], 'cannot be dialled'],
    [['tunnel', 'connect', `/ip4/21.0.0.1/tcp/443/tls/sni/b.example/ws/p2p/${peerId}`, '9000'], 'cannot be dialled'],
    [['doctor', '--peer', `/ip4/192.168.1.2/tcp/4001/p2p/${peerId}`], 'may not be asked'],
    [['doctor', '--peer', `/ip4/21.0.0.1/tcp/4001/p2p/${peerId}`, '--dry-run'], '--dry-run'],
    [['relay', '--listen', '/ip4/999.0.0.1/tcp/4001'], 'not a multiaddr'],
    [['relay', '--announce', '/relay.example.org'], 'not a multiaddr'],
    [['witness', '--announce', 'example.org'], 'error: --announce: announce: not an IP address'],
    [['witness', '--trust-proxy', 'x-real-ip=proxy'], 'error: --trust-proxy: trustProxy: not an IP address'],
    [['witness', '--listen', 'localhost:4003'], '0.0.0.0:4003 or [::]:4003'],
    [['relay', '--per-ip', '0'], 'a number from 1 on'],
    [['relay', '--data', '128 kB'], '128KiB'],
    [['relay', '--duration', 'soon'], '30m'],
    [['relay', '--metrics', '0'], '65535'],
    [['peer', '--peer', '/ip4/21.0.0.1/tcp/4001'], '/p2p/<peer id>'],
    [['peer', '--relay', '/ip4/21.0.0.1/tcp/4001'], '/p2p/<peer id>'],
    [['peer', '--dial', '/ip4/21.0.0.1'], '/p2p/<peer id>'],
    [['peer', '--via', 'carrier-pigeon'], 'carrier-pigeon'],
    [['tunnel', 'listen', '0'], '<host>:<port>'],
    [['tunnel', 'listen', '22', '--allow', 'not-an-id'], 'not a peer id'],
    [['tunnel', 'connect', peerId, '2222'], '--relay'],
    [['tunnel', 'connect', peerId, 'ssh'], '65535']
  ])('%j is a usage error with exit code 2 and a hint', async (args, mention) => {
    const { code, stdout, stderr } = await run(...args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(mention)
  })
})

// On Linux routes are files. Elsewhere they come from a program.
it.skipIf(process.platform !== 'linux').each([['doctor'], ['map', '8080']])(
  'says in one sentence that Node.js does not let it look at the network: %s',
  async (...args) => {
    const root = fileURLToPath(new URL('../../..', import.meta.url))
    const flags = ['--permission', `--allow-fs-read=${root}`, '--no-warnings']
    const { stderr, status } = spawnSync(process.execPath, [...flags, bin, ...args.flat()], { encoding: 'utf8' })
    expect({ status, lines: stderr.trim().split('\n') }).toEqual({
      status: 1,
      lines: [
        expect.stringMatching(/^✘ the runtime does not let this program inspect the network .*--allow-fs-read=\*$/)
      ]
    })
  }
)
