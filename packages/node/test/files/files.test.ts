import { spawnSync } from 'node:child_process'
import type * as promises from 'node:fs/promises'
import { mkdtemp, type open, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createFile, makeFolder, removeLeftovers, replaceFile, stateFile } from '../../src/files/files.js'

/** The call that fails in a test, and its error. */
const faults = vi.hoisted(() => ({ call: '', code: '' }))
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof promises>()
  const fail = (call: string): void => {
    if (faults.call === call) throw Object.assign(new Error(`${faults.code}: injected, ${call}`), { code: faults.code })
  }
  const around =
    <A extends unknown[], R>(name: string, work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      fail(name)
      return work(...args)
    }
  return {
    ...real,
    rename: around('rename', real.rename),
    link: around('link', real.link),
    open: async (...args: Parameters<typeof open>) => {
      if (String(args[0]).includes('.tmp-')) fail('open')
      const file = await real.open(...args)
      if (!String(args[0]).includes('.tmp-')) return file
      const { close, stat: look, sync, writeFile: write } = file
      file.writeFile = async (data) => {
        if (faults.call === 'write') await write.call(file, 'half')
        fail('write')
        if (faults.call === 'short') await write.call(file, 'half')
        else await write.call(file, data)
      }
      file.sync = async () => {
        fail('sync')
        await sync.call(file)
      }
      file.close = async () => {
        await close.call(file)
        fail('close')
      }
      file.stat = async () => look.call(file) as never
      return file
    }
  }
})

let folder = ''
let path = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-'))
  path = join(folder, 'a.key')
})
afterEach(async () => {
  faults.call = ''
  await rm(folder, { recursive: true, force: true })
})

describe.each([
  ['open', 'ENOSPC', 'injected, open'],
  ['write', 'ENOSPC', 'injected, write'],
  ['write', 'EIO', 'injected, write'],
  ['short', '', '4 bytes of'],
  ['sync', 'EDQUOT', 'injected, sync'],
  ['close', 'ENOSPC', 'injected, close']
])('where the disk fails at %s (%s)', (call, code, said) => {
  it('replaceFile keeps the old file, leaves no temporary file, and rejects with the error', async () => {
    await replaceFile(path, 'good')
    Object.assign(faults, { call, code })
    await expect(replaceFile(path, 'the new text')).rejects.toThrow(said)
    expect(await readdir(folder)).toEqual(['a.key'])
    expect(await readFile(path, 'utf8')).toBe('good')
    faults.call = ''
    await replaceFile(path, 'the new text')
    expect(await readFile(path, 'utf8')).toBe('the new text')
  })

  it('createFile leaves no file, and works afterwards', async () => {
    Object.assign(faults, { call, code })
    await expect(createFile(path, 'a whole key')).rejects.toThrow(said)
    expect(await readdir(folder)).toEqual([])
    faults.call = ''
    expect(await createFile(path, 'a whole key')).toBe(true)
    expect(await readFile(path, 'utf8')).toBe('a whole key')
  })
})

describe('a file that is replaced', () => {
  it('replaceFile keeps the old file if the rename fails', async () => {
    await replaceFile(path, 'good')
    Object.assign(faults, { call: 'rename', code: 'EIO' })
    await expect(replaceFile(path, 'new')).rejects.toThrow('EIO')
    expect(await readdir(folder)).toEqual(['a.key'])
    expect(await readFile(path, 'utf8')).toBe('good')
  })

  it('replaceFile writes a file that only its owner can read', async () => {
    await replaceFile(path, 'secret')
    expect((await stat(path)).mode & 0o777).toBe(process.platform === 'win32' ? 0o666 : 0o600)
  })
})

describe('a file that is created', () => {
  it.each(['', 'EPERM', 'ENOTSUP'])('createFile never replaces an existing file (link: %s)', async (code) => {
    if (code !== '') Object.assign(faults, { call: 'link', code })
    const made = await Promise.all(['one', 'two', 'three', 'four'].map((text) => createFile(path, text)))
    expect(made.filter((each) => each)).toHaveLength(1)
    expect(['one', 'two', 'three', 'four']).toContain(await readFile(path, 'utf8'))
    expect(await createFile(path, 'five')).toBe(false)
    expect(await readdir(folder)).toEqual(['a.key'])
  })
})

it('removeLeftovers removes temporary files of a given age, and nothing else', async () => {
  const names = ['a.key', 'a.key.tmp-0123456789abcdef', 'a.key.tmp-mine', 'b.key.tmp-0123456789abcdef', 'a.key.2']
  for (const name of names) await writeFile(join(folder, name), '')
  await removeLeftovers(path, 60_000)
  expect((await readdir(folder)).toSorted()).toEqual(names.toSorted())
  const then = new Date(Date.now() - 61_000)
  await utimes(join(folder, 'a.key.tmp-0123456789abcdef'), then, then)
  await removeLeftovers(path, 60_000)
  expect((await readdir(folder)).toSorted()).toEqual(names.filter((name) => name !== names[1]).toSorted())
})

it('removeLeftovers keeps every name that a backup may have', async () => {
  const suffixes = [
    '.1',
    '.123456',
    '.20260101',
    '.2026-01-01',
    '.1767225600',
    '.bak',
    '.old',
    '.orig',
    '~',
    '.tmp',
    '.lock',
    '.new'
  ]
  const backups = [
    ...suffixes.map((suffix) => `a.key${suffix}`),
    'a.key.tmp-20260101',
    'a.key.tmp-0123456789abcdef.bak',
    '#a.key#'
  ]
  for (const name of [...backups, 'a.key.tmp-0123456789abcdef']) await writeFile(join(folder, name), 'a backup')
  await removeLeftovers(path)
  expect((await readdir(folder)).toSorted()).toEqual(backups.toSorted())
})

const sources = new URL('../../../../scripts/sources.mjs', import.meta.url).href

it('removeLeftovers removes the temporary file of a killed process', async () => {
  const script = `
    import { open } from 'node:fs/promises'
    import { replaceFile } from ${JSON.stringify(new URL('../../src/files/files.ts', import.meta.url).href)}
    const file = await open(process.execPath)
    Object.getPrototypeOf(file).sync = () => process.kill(process.pid, 'SIGKILL')
    await replaceFile(process.argv[1], 'half')`
  spawnSync(process.execPath, ['--import', sources, '--input-type=module', '-e', script, path])
  expect(await readdir(folder)).toEqual([expect.stringMatching(/^a\.key\.tmp-/)])
  await removeLeftovers(path)
  expect(await readdir(folder)).toEqual([])
})

describe('the place of the state', () => {
  afterEach(() => vi.unstubAllEnvs())

  it('stateFile uses the home folder if XDG_STATE_HOME is empty', () => {
    vi.stubEnv('HOME', folder)
    vi.stubEnv('USERPROFILE', folder)
    vi.stubEnv('XDG_STATE_HOME', '')
    expect(stateFile('a.key')).toBe(join(folder, '.local', 'state', 'postern', 'a.key'))
  })

  it('stateFile uses XDG_STATE_HOME, relative to the working folder if it is relative', () => {
    vi.stubEnv('XDG_STATE_HOME', folder)
    expect(stateFile('a.key')).toBe(join(folder, 'postern', 'a.key'))
    vi.stubEnv('XDG_STATE_HOME', 'relative')
    expect(stateFile('a.key')).toBe(join('relative', 'postern', 'a.key'))
  })

  it.skipIf(process.platform === 'win32')('stateFile returns undefined without a home folder', () => {
    vi.stubEnv('HOME', 'relative')
    vi.stubEnv('XDG_STATE_HOME', '')
    expect(stateFile('a.key')).toBeUndefined()
  })
})

const mounts = spawnSync('unshare', ['-rm', 'true']).status === 0
it.skipIf(!mounts)(
  `survives every fill level of a small disk${mounts ? '' : ' (skipped: unshare is not permitted here)'}`,
  () => {
    const script = `
    import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
    import { replaceFile } from ${JSON.stringify(new URL('../../src/files/files.ts', import.meta.url).href)}
    const path = '${folder}/a.json'
    const levels = []
    for (let free = 0; free < 10; free++) {
      rmSync('${folder}/ballast', { force: true })
      await replaceFile(path, 'x'.repeat(20000))
      writeFileSync('${folder}/ballast', Buffer.alloc((64 - 6 - free) * 4096))
      const told = await replaceFile(path, 'y'.repeat(20100)).then(() => 'written', ({ code }) => code)
      const text = readFileSync(path, 'utf8')
      const isWhole = told === 'written' ? text === 'y'.repeat(20100) : text === 'x'.repeat(20000)
      levels.push(told + ' ' + isWhole + ' ' + readdirSync('${folder}').length)
    }
    console.log(JSON.stringify(levels))`
    const shell = 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$1" --import "$3" --input-type=module -e "$2"'
    const { stdout, stderr } = spawnSync(
      'unshare',
      ['-rm', 'sh', '-c', shell, folder, process.execPath, script, sources],
      {
        encoding: 'utf8'
      }
    )
    expect(stderr).toBe('')
    const levels = JSON.parse(stdout) as readonly string[]
    expect(new Set(levels)).toEqual(new Set(['ENOSPC true 2', 'written true 2']))
  }
)

it.skipIf(process.platform !== 'linux')(
  'a folder that the file system makes nothing in is an error, and does not turn for ever',
  async () => {
    // mkdir fails with ENOENT in /proc although the parent folder exists.
    await expect(makeFolder('/proc/postern/state/app.json')).rejects.toMatchObject({ code: 'ENOENT' })
  }
)
