import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { environmentOf } from '../../scripts/release/environment.mjs'

const script = join(import.meta.dirname, '..', '..', 'scripts', 'release', 'dry.mjs')

interface Result {
  readonly ok: boolean
  readonly steps: readonly { readonly name: string; readonly ok: boolean; readonly seen: string | null }[]
}

/** Starts a rehearsal that has its temporary folder in a folder of the test, and another configuration of npm. */
function start(...args: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const env = { ...process.env, TMPDIR: folder, npm_config_provenance: 'true' }
  const child = spawn(process.execPath, [script, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
    })
  return { child, said, left: () => readdirSync(folder) }
}

it('every package can be published, and a project that installs it runs', { timeout: 900_000 }, async () => {
  const { child, said, left } = start('--short', '--json')
  const [status] = await once(child, 'close')
  const { ok, steps } = JSON.parse(said.stdout || '{ "ok": false, "steps": [] }') as Result
  expect({ failed: steps.filter((each) => !each.ok), stderr: ok ? '' : said.stderr, status }).toEqual({
    failed: [],
    stderr: '',
    status: 0
  })
  expect(steps.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['every package is published', 'plain ESM with npm', 'require()'])
  )
  expect(said.stderr).toMatch(/^✔ one core for all: \d+\.\d+\.\d+$/m)
  expect(left()).toEqual([])
})

it.skipIf(process.platform === 'win32')(
  'an interrupted rehearsal leaves no process and no file behind',
  { timeout: 120_000 },
  async () => {
    const { child, said, left } = start('--short')
    // The registry runs, and git and pnpm begin to work in the copy.
    await expect.poll(() => said.stderr, { timeout: 60_000, interval: 50 }).toContain('… the next versions are built')
    const [folder = ''] = left()
    child.kill('SIGINT')
    const [status] = await once(child, 'close')
    expect({ status, left: left() }).toEqual({ status: 130, left: [] })
    const { stdout } = spawnSync('ps', ['-A', '-o', 'args'], { encoding: 'utf8' })
    expect(folder).toMatch(/^postern-release-/)
    expect(stdout.split('\n').filter((line) => line.includes(folder))).toEqual([])
  }
)

it('programs of the rehearsal take no registry, cache or home from the environment of the caller', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const caller = {
    PATH: '/usr/bin',
    HOME: '/home/me',
    npm_config_registry: 'https://registry.example/',
    NPM_CONFIG_USERCONFIG: '/home/me/.npmrc',
    'npm_config_//registry.example/:_authToken': 'secret',
    YARN_REGISTRY: 'https://registry.example/',
    PNPM_HOME: '/home/me/pnpm',
    XDG_CACHE_HOME: '/home/me/.cache',
    NODE_OPTIONS: '--inspect'
  }
  const env = environmentOf(folder, { url: 'http://127.0.0.1:4873/', token: 'of the rehearsal' }, caller)
  expect(JSON.stringify(env)).not.toMatch(/registry\.example|home\/me|inspect/)
  expect(env).toMatchObject({ PATH: '/usr/bin', YARN_REGISTRY: 'http://127.0.0.1:4873/' })
  const other = { url: 'https://registry.npmjs.org/', token: '' }
  expect(() => environmentOf(folder, other, caller)).toThrow('no registry on loopback')
})

it.each([['--fast'], ['now']])('%s is a usage error', (argument) => {
  const { stderr, status } = spawnSync(process.execPath, [script, argument], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining('npm run release:dry') })
})

it('the help says what is rehearsed, and gives examples', () => {
  const { stdout, status } = spawnSync(process.execPath, [script, '--help'], { encoding: 'utf8' })
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: expect.stringMatching(/--short[^]*Examples:[^]*Exit codes:/)
  })
})
