import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadKey } from '../../src/shared/key-file.js'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))
let folder = ''
let path = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-'))
  path = join(folder, 'deep', 'a.key')
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const idOf = async (): Promise<string> => (await loadKey(path, () => undefined)).publicKey.toString()

/** Returns the output of processes that start at the same moment. */
async function idsOf(count: number): Promise<readonly (readonly [id: string, error: string, code: unknown])[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const child = spawn(process.execPath, [bin, 'tunnel', 'id', '--key', path])
      let [out, err] = ['', '']
      child.stdout.on('data', (data) => (out += String(data)))
      child.stderr.on('data', (data) => (err += String(data)))
      const [code] = await once(child, 'close')
      return [out.trim(), err.trim(), code] as const
    })
  )
}

describe('a key', () => {
  it('loadKey rejects a dangling link with advice', async () => {
    await mkdir(join(folder, 'deep'))
    await symlink('nowhere', path)
    await expect(loadKey(path, () => undefined)).rejects.toThrow(`rm ${path}`)
  })

  it('loadKey creates a key once with mode 0600 and loads it at the next start', async () => {
    const id = await idOf()
    expect((await stat(path)).mode & 0o777).toBe(process.platform === 'win32' ? 0o666 : 0o600)
    expect(await readdir(join(folder, 'deep'))).toEqual(['a.key'])
    expect(await idOf()).toBe(id)
  })

  it.each([
    ['no file', false],
    ['an empty file of an earlier version', true]
  ])(
    'loadKey returns the same key in programs that start together, with %s',
    { timeout: 60_000 },
    async (_, isEmpty) => {
      for (let round = 0; round < 2; round++) {
        await rm(join(folder, 'deep'), { recursive: true, force: true })
        await mkdir(join(folder, 'deep'))
        if (isEmpty) await writeFile(path, '', { mode: 0o600 })
        const all = await idsOf(5)
        expect(all.map(([, , code]) => code)).toEqual([0, 0, 0, 0, 0])
        expect(new Set(all.map(([id]) => id)).size).toBe(1)
        expect(all.filter(([, err]) => err.includes('it is a new one'))).toHaveLength(isEmpty ? 1 : 0)
        expect(await idOf()).toBe(all[0]?.[0])
      }
    }
  )

  it('loadKey does not overwrite a truncated key and rejects with advice', async () => {
    await idOf()
    const whole = await readFile(path)
    for (const length of [1, 10, whole.byteLength - 1]) {
      await writeFile(path, whole.subarray(0, length))
      await expect(idOf()).rejects.toThrow(`mv ${path} ${path}.old`)
      expect((await readFile(path)).byteLength).toBe(length)
    }
  })

  it('loadKey does not wait for something that is not a regular file', async () => {
    await mkdir(path, { recursive: true })
    await expect(idOf()).rejects.toThrow('it is not a regular file')
    await rm(path, { recursive: true })
    if (spawnSync('mkfifo', [path]).status === 0) await expect(idOf()).rejects.toThrow('it is not a regular file')
  })

  it('loadKey rejects with the reason if it cannot write, and leaves nothing', async () => {
    await writeFile(join(folder, 'file'), '')
    path = join(folder, 'file', 'a.key')
    await expect(idOf()).rejects.toThrow('a part of the path is not a folder')
    expect(await readdir(folder)).toEqual(['file'])
  })
})

describe('a key of a named file', async () => {
  const shared = await mkdtemp(join(tmpdir(), 'postern-'))
  afterAll(() => rm(shared, { recursive: true, force: true }))
  const warnings: string[] = []
  const load = (name: string): ReturnType<typeof loadKey> => loadKey(join(shared, name), (text) => warnings.push(text))

  it('loadKey creates the folder of a key with mode 0700, and warns of nothing', async () => {
    const made = await load('new/relay.key')
    expect((await stat(join(shared, 'new/relay.key'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(shared, 'new'))).mode & 0o777).toBe(0o700)
    expect((await load('new/relay.key')).equals(made)).toBe(true)
    expect(warnings).toEqual([])
  })

  it('loadKey warns about a key that other users can read', async () => {
    await load('open.key')
    await chmod(join(shared, 'open.key'), 0o644)
    await load('open.key')
    expect(warnings.splice(0)).toEqual([expect.stringContaining('chmod 600')])
  })

  it('loadKey never overwrites a file with other content', async () => {
    await writeFile(join(shared, 'other.key'), 'not a key', { mode: 0o600 })
    await expect(load('other.key')).rejects.toThrow('Move it away')
    expect(await readFile(join(shared, 'other.key'), 'utf8')).toBe('not a key')
  })

  it('loadKey suggests another place if it cannot write', async () => {
    await expect(loadKey('/dev/null/relay.key', () => undefined)).rejects.toThrow('--key')
  })
})

const mounts = spawnSync('unshare', ['-rm', 'true']).status === 0
it.skipIf(!mounts)(
  `a full disk leaves no key, and the next start makes one${mounts ? '' : ' (skipped: unshare is not permitted here)'}`,
  () => {
    const script = `
    mount -t tmpfs -o size=64k tmpfs "$0" && cd "$0" && mkdir deep
    dd if=/dev/zero of=ballast bs=4096 count=64 2>/dev/null
    "$1" "$2" tunnel id --key deep/a.key; echo "code $?"; ls -A deep
    rm ballast; "$1" "$2" tunnel id --key deep/a.key > id; echo "code $?"
    "$1" "$2" tunnel id --key deep/a.key | cmp - id && echo same; ls -A deep`
    const run = spawnSync('unshare', ['-rm', 'sh', '-c', script, folder, process.execPath, bin], { encoding: 'utf8' })
    expect(run.stdout.trim().split('\n')).toEqual(['code 1', 'code 0', 'same', 'a.key'])
    expect(run.stderr).toContain('the disk is full: free some space (ENOSPC)')
    expect(run.stderr).not.toContain('    at ')
  }
)
