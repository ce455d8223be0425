import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canRunLab, prepareTools } from '../src/index.js'

const support = await canRunLab()
const run = promisify(execFile)
const index = path.join(import.meta.dirname, '..', 'dist', 'index.js')

describe.skipIf(!support.ok)(`tools${support.ok ? '' : ` (skipped: ${support.reason})`}`, { timeout: 15_000 }, () => {
  let folder = ''
  let env: NodeJS.ProcessEnv = {}

  /** Runs a program in a separate process and resolves with its JSON output. */
  const evaluate = async (program: string, extra: NodeJS.ProcessEnv): Promise<unknown> => {
    const args = ['--input-type=module', '-e', `import { canRunLab, prepareTools } from '${index}'\n${program}`]
    return JSON.parse((await run(process.execPath, args, { env: { ...env, ...extra } })).stdout) as unknown
  }
  const prepare = `
    const told = []
    await prepareTools({ onProgress: (line) => told.push(line) })
    console.log(JSON.stringify([told.length, await canRunLab()]))`

  // A fake apt with a single package that contains the existing tools, so that no network is needed.
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'postern-lab-'))
    const tools = await prepareTools()
    const content = path.join(folder, 'content')
    await mkdir(path.join(content, 'DEBIAN'), { recursive: true })
    const fields = { Package: 'tools', Version: '1', Architecture: 'all', Maintainer: 'lab', Description: 'tools' }
    const control = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`)
    await writeFile(path.join(content, 'DEBIAN', 'control'), control.join(''))
    await cp(tools.bin, path.join(content, 'usr', 'bin'), { recursive: true })
    await cp(tools.lib, path.join(content, 'usr', 'lib', 'here'), { recursive: true })
    await run('dpkg-deb', ['-Znone', '--build', content, path.join(folder, 'tools.deb')])

    const bin = path.join(folder, 'bin')
    await mkdir(bin)
    // The package lists of the system cannot be used if the test says so.
    const stale = 'case "$NO_LISTS $*" in yes*Dir::State=*) ;; yes*) exit 100;; esac'
    const archive = path.join(folder, 'tools.deb')
    const download = `case "$*" in *download*) cp ${archive} .;; esac`
    await writeFile(path.join(bin, 'apt-cache'), `#!/bin/sh\n${stale}\n`, { mode: 0o755 })
    await writeFile(path.join(bin, 'apt-get'), `#!/bin/sh\n${stale}\n${download}\n`, { mode: 0o755 })
    env = { ...process.env, HOME: path.join(folder, 'empty'), PATH: `${bin}:${process.env['PATH'] ?? ''}` }
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('two processes can unpack the tools concurrently, once, without leftovers', async () => {
    const cache = { POSTERN_LAB_CACHE: path.join(folder, 'one') }
    expect(await Promise.all([evaluate(prepare, cache), evaluate(prepare, cache)])).toEqual([
      [1, { ok: true }],
      [1, { ok: true }]
    ])
    expect(await evaluate(prepare, cache)).toEqual([0, { ok: true }])
    expect(await readdir(path.join(folder, 'one'))).toHaveLength(1)
  })

  it('the tools are fetched with separate package lists if those of the system cannot be used', async () => {
    const cache = { POSTERN_LAB_CACHE: path.join(folder, 'two'), NO_LISTS: 'yes' }
    expect(await evaluate(prepare, cache)).toEqual([2, { ok: true }])
  })

  it('canRunLab resolves with a reason of one sentence if the tools cannot be prepared', async () => {
    const ask = 'console.log(JSON.stringify(await canRunLab()))'
    const reason = (text: string): unknown => ({ ok: false, reason: expect.stringContaining(text) as string })
    expect(await evaluate(ask, { POSTERN_LAB_CACHE: path.join(folder, 'tools.deb', 'x') })).toEqual(
      reason('set POSTERN_LAB_CACHE')
    )
    const cache = { POSTERN_LAB_CACHE: path.join(folder, 'three') }
    expect(await evaluate(ask, { ...cache, PATH: folder })).toEqual(reason('does not run here'))
  })
})
