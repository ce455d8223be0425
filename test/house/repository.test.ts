import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, posix, sep } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { linksOf } from '../../scripts/markdown-links.mjs'
import { packages, read, readJson, root } from './workspace.js'

const url = 'https://github.com/owner/name'
let copy = ''

/** What the copy of the repository leaves out: what is installed and built, and what no README links to. */
const left = new Set(['node_modules', 'dist', '.git', '.turbo', 'attacks', 'corpus', 'src', 'test'])

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'postern-'))
  for (const each of ['docs', 'interop', 'packages', 'scripts']) {
    cpSync(join(root, each), join(copy, each), {
      recursive: true,
      filter: (file) => !left.has(file.slice(file.lastIndexOf(sep) + 1))
    })
  }
})
afterAll(() => rmSync(copy, { recursive: true, force: true }))

interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Outcome {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(copy, 'scripts', script), ...args], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], ...env }
  })
  return { status, stdout, stderr }
}

const name = (...args: readonly string[]): Outcome => run('name-repository.mjs', args)
const inCopy = (file: string): string => readFileSync(join(copy, file), 'utf8')

/** What npm packs by itself, and what a manifest lists. */
function isPacked(file: string, files: unknown): boolean {
  const entries = Array.isArray(files) ? files.map(String) : []
  return [...entries, 'package.json', 'README.md'].some((entry) =>
    entry.endsWith('*') ? file.startsWith(entry.slice(0, -1)) : file === entry || file.startsWith(`${entry}/`)
  )
}

describe('naming the repository', () => {
  it.each([
    ['no address', [], 'Name one repository, such as https://github.com/owner/name.'],
    ['two of them', [url, url], 'Name one repository, such as https://github.com/owner/name.'],
    ['plain HTTP', ['http://github.com/owner/name'], 'is not the address of a repository'],
    ['an address of SSH', ['git@github.com:owner/name.git'], 'is not the address of a repository'],
    ['credentials', ['https://me:secret@github.com/owner/name'], 'is not the address of a repository'],
    ['an owner alone', ['https://github.com/owner'], 'is not the address of a repository'],
    ['a page below it', [`${url}/tree/main`], 'is not the address of a repository'],
    ['a query', [`${url}?a`], 'is not the address of a repository'],
    ['an empty owner', ['https://github.com//name'], 'is not the address of a repository'],
    ['a bad ref', [url, '--ref', 'a b'], '"a b" is neither a tag nor a commit.'],
    ['a ref that climbs', [url, '--ref', 'v1/../..'], 'is neither a tag nor a commit.'],
    ['an unknown option', [url, '--reff', 'v1'], "Unknown option '--reff'."]
  ])('name-repository refuses %s in one sentence and writes nothing', (_, args, sentence) => {
    const { status, stdout, stderr } = name(...args)
    expect({ status, stdout, lines: stderr.split('\n').length }).toEqual({ status: 2, stdout: '', lines: 2 })
    expect(stderr).toContain(sentence)
    for (const { folder } of packages) expect(inCopy(`packages/${folder}/package.json`)).not.toContain('"repository"')
  })

  it('name-repository explains itself with --help, and lists what it would write with --check', () => {
    expect(name('--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('--check') })
    const { status, stderr } = name(url, '--check')
    expect(status).toBe(1)
    expect(stderr).toContain(`packages/core/README.md does not name ${url} at HEAD.`)
    expect(inCopy('packages/core/README.md')).toBe(read('packages/core/README.md'))
  })

  it('name-repository writes into every package and leaves no README link that leads out of the packed files', () => {
    expect(name(`${url}.git`, '--ref', 'v1.2.3')).toMatchObject({ status: 0, stderr: '' })
    for (const { folder, manifest } of packages) {
      expect(JSON.parse(inCopy(`packages/${folder}/package.json`))).toEqual({
        ...manifest,
        repository: { type: 'git', url: `git+${url}.git`, directory: `packages/${folder}` },
        homepage: `${url}/tree/HEAD/packages/${folder}#readme`,
        bugs: `${url}/issues`
      })
      const links = linksOf(inCopy(`packages/${folder}/README.md`))
      const relative = links.filter((link) => !/^(?:https:|#)/.test(link)).map((link) => posix.normalize(link))
      expect(relative.filter((link) => !isPacked(link.replace(/[?#].*/, ''), manifest['files']))).toEqual([])
      expect(links).toHaveLength(linksOf(read(`packages/${folder}/README.md`)).length)
    }
    expect(linksOf(inCopy('packages/core/README.md'))).toContain(`${url}/blob/v1.2.3/docs/reference/policy.md`)
    expect(linksOf(inCopy('packages/libp2p/README.md'))).toContain(`${url}/blob/v1.2.3/packages/hole-punch/README.md`)
  })

  it('name-repository changes nothing in a second run, and only the links with another ref', () => {
    expect(name(url, '--ref', 'v1.2.3')).toMatchObject({ status: 0, stdout: `0 files name ${url} now.\n` })
    expect(name(url, '--ref', 'v1.2.3', '--check')).toMatchObject({ status: 0, stderr: '' })
    expect(name(url, '--ref', '@postern/core@2.0.0').status).toBe(0)
    const links = linksOf(inCopy('packages/core/README.md'))
    expect(links).toContain(`${url}/blob/@postern/core@2.0.0/docs/reference/policy.md`)
    expect(links.filter((link) => link.includes('v1.2.3'))).toEqual([])
  })

  it('name-repository handles folders, pictures, fragments and files of the package itself', () => {
    const text =
      '[a](../../docs) [b](../../docs/p.png) [c](../../docs/guides/concepts.md#d) [e](package.json) [f](tsconfig.json) [g](#h)'
    writeFileSync(join(copy, 'docs', 'p.png'), '')
    writeFileSync(
      join(copy, 'packages', 'net', 'README.md'),
      `${text} [i](../..) \`[j](../../k.md)\` [l](https://m.org/)\n`
    )
    expect(name(url, '--ref', 'v1').status).toBe(0)
    expect(linksOf(inCopy('packages/net/README.md'))).toEqual([
      `${url}/tree/v1/docs`,
      `${url}/raw/v1/docs/p.png`,
      `${url}/blob/v1/docs/guides/concepts.md#d`,
      'package.json',
      `${url}/blob/v1/packages/net/tsconfig.json`,
      '#h',
      `${url}/tree/v1`,
      'https://m.org/'
    ])
  })

  it('name-repository refuses a link that leads nowhere', () => {
    writeFileSync(join(copy, 'packages', 'net', 'README.md'), '[a](../../docs/absent.md)\n')
    const { status, stderr } = name(url)
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'packages/net/README.md links to ../../docs/absent.md, which does not exist.\n'
    })
  })
})

describe('publishing', () => {
  const workflow = { GITHUB_SERVER_URL: 'https://github.com', GITHUB_REPOSITORY: 'owner/name', GITHUB_SHA: 'c0ffee' }
  const nameInRoot = (repository: string): void =>
    writeFileSync(join(copy, 'package.json'), JSON.stringify({ ...(readJson('package.json') as object), repository }))

  beforeAll(() => cpSync(join(root, 'packages', 'net', 'README.md'), join(copy, 'packages', 'net', 'README.md')))

  it('publish refuses to run by hand', () => {
    nameInRoot(url)
    const { status, stderr } = run('publish.mjs', [])
    expect(status).toBe(2)
    expect(stderr).toMatch(/^Packages are published by the release workflow only.*\.\n$/)
  })

  it.each([
    ['names no repository', '', /^Write the address of the repository, .* into "repository" of package\.json: .*\.\n$/],
    [
      'names another one',
      `${url}-fork`,
      /^package\.json names .*-fork, but this release runs in .*\/owner\/name, .*\.\n$/
    ]
  ])('publish refuses in one sentence while the root manifest %s', (_, repository, sentence) => {
    nameInRoot(repository)
    const { status, stdout, stderr } = run('publish.mjs', [], workflow)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(sentence)
  })

  it.skipIf(process.platform === 'win32')('publish names the repository and the commit first', () => {
    nameInRoot(url)
    const program = join(copy, 'node_modules', '.bin', 'changeset')
    mkdirSync(dirname(program), { recursive: true })
    writeFileSync(
      program,
      '#!/bin/sh\necho "$@"; grep bugs packages/core/package.json; grep -o "blob/[^/]*/docs/reference/policy.md" packages/core/README.md\n'
    )
    chmodSync(program, 0o755)
    const { status, stdout } = run('publish.mjs', [], workflow)
    expect(status).toBe(0)
    expect(stdout.split('\n').slice(1)).toEqual([
      'publish',
      '  "bugs": "https://github.com/owner/name/issues",',
      'blob/c0ffee/docs/reference/policy.md',
      ''
    ])
  })

  describe.skipIf(process.platform === 'win32')('with an identity of the workflow', () => {
    const identity = { ...workflow, ACTIONS_ID_TOKEN_REQUEST_URL: 'http://127.0.0.1:1/' }
    const programs = (): string => join(copy, 'programs')

    /** Runs it with an npm of this version, and a changeset that prints how npm is configured. */
    function publish(npm: string, env: NodeJS.ProcessEnv = {}): Outcome {
      nameInRoot(url)
      const write = (file: string, text: string): void => {
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
      }
      write(join(programs(), 'npm'), `echo ${npm}`)
      write(
        join(copy, 'node_modules', '.bin', 'changeset'),
        'echo "config: $NPM_CONFIG_USERCONFIG"; cat "$NPM_CONFIG_USERCONFIG" 2>&1'
      )
      return run('publish.mjs', [], { ...identity, PATH: `${programs()}:${process.env['PATH']}`, ...env })
    }

    it.each(['11.5.0', '10.9.4', '9.99.99', 'unknown'])(
      'publish refuses npm %s, which would ask for a token',
      (version) => {
        const { status, stderr } = publish(version)
        expect({ status, stderr }).toEqual({
          status: 2,
          stderr: `npm ${version} cannot publish without a token: 11.5.1 or later is needed.\n`
        })
      }
    )

    it.each(['11.5.1', '11.10.0', '12.0.0'])('publish takes npm %s and writes no token', (version) => {
      const { status, stdout } = publish(version, { NPM_TOKEN: '' })
      expect(status).toBe(1) // there is no file to show
      expect(stdout).toMatch(/^config: $/m)
    })

    it('publish hands a token to npm in a file that does not contain it, and removes the file', () => {
      const { status, stdout } = publish('11.5.1', { NPM_TOKEN: 'npm_secret' })
      expect(status).toBe(0)
      expect(stdout).toContain('//registry.npmjs.org/:_authToken=${NPM_TOKEN}')
      expect(stdout).not.toContain('npm_secret')
      const [, file = ''] = /^config: (.+)$/m.exec(stdout) ?? []
      expect(existsSync(dirname(file))).toBe(false)
    })
  })

  it('the root manifest alone names the repository, in a form that name-repository.mjs takes', () => {
    const { repository } = readJson('package.json') as { readonly repository: unknown }
    if (repository !== '') expect(name(String(repository), '--check').status).not.toBe(2)
    for (const { manifest } of packages) expect(manifest).not.toHaveProperty('repository')
  })

  it('the release workflow publishes, and its pull request names nothing', () => {
    const release = read('.github/workflows/release.yml')
    expect(release).toMatch(/^ *script: node scripts\/publish\.mjs\b/m)
    expect(release).toMatch(/^ *script: node scripts\/version\.mjs$/m)
  })
})
