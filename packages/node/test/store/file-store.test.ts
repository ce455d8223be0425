import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Memory } from '@postern/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fileStore, isHolder, takeLock } from '../../src/index.js'

const memory: Memory = {
  gateway: { address: '192.168.1.1', mac: null },
  endpoint: { protocol: 'tcp', family: 4, address: '192.168.1.2', port: 8080 },
  strategy: 'pcp',
  key: '00112233445566778899aabbccddeeff',
  externalPort: 8080,
  wantedPort: null,
  expiresAt: 1_900_000_000_000,
  verifiedAt: null
}

let folder = ''
let path = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-'))
  path = join(folder, 'deep', 'state.json')
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A store and its warnings. */
function open(): { readonly store: ReturnType<typeof fileStore>; readonly warnings: Error[] } {
  const warnings: Error[] = []
  return { store: fileStore({ path, warn: (error) => warnings.push(error) }), warnings }
}

describe('the file store', () => {
  it('fileStore starts empty, and loads what was saved', async () => {
    const { store, warnings } = open()
    expect(await store.load()).toEqual([])
    await store.save([memory])
    expect(await store.load()).toEqual([memory])
    await store.close()
    expect(await open().store.load()).toEqual([memory])
    expect(warnings).toEqual([])
  })

  it('fileStore writes a file that only its owner can read', async () => {
    const { store } = open()
    await store.save([memory])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await store.close()
  })

  it.each([
    ['no JSON', '{'],
    ['another format', '{"format":2,"memories":[]}'],
    ['a damaged entry', JSON.stringify({ format: 1, memories: [{ ...memory, key: '../../etc' }] })],
    ['an impossible port', JSON.stringify({ format: 1, memories: [{ ...memory, externalPort: 70_000 }] })],
    ['nothing', '']
  ])('fileStore renames a file with %s, warns once, and continues', async (_, text) => {
    const first = open()
    await first.store.save([])
    await first.store.close()
    await writeFile(path, text)
    const { store, warnings } = open()
    expect(await store.load()).toEqual([])
    expect(warnings).toMatchObject([{ code: 'STORE_UNUSABLE' }])
    const aside = (await readdir(join(folder, 'deep'))).find((name) => name.includes('.damaged-'))
    expect(await readFile(join(folder, 'deep', aside ?? ''), 'utf8')).toBe(text)
    await store.save([memory])
    expect(await store.load()).toEqual([memory])
    await store.close()
  })

  it('fileStore belongs to one process: a second one starts empty and saves nothing', async () => {
    const { store: mine } = open()
    await mine.save([memory])
    await mine.close()
    // Hold the lock like another process.
    const lock = await takeLock(path)
    if (isHolder(lock)) throw new Error('the lock is not free')
    const { store, warnings } = open()
    expect(await store.load()).toEqual([])
    await store.save([])
    expect(warnings).toMatchObject([{ code: 'STORE_UNUSABLE', message: expect.stringContaining(String(process.pid)) }])
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ memories: [memory] })
    await lock.release()
    expect(await open().store.load()).toEqual([memory])
    await store.close()
  })

  it('fileStore shares a file between the stores of a process, and the last one releases it', async () => {
    const other: Memory = { ...memory, endpoint: { ...memory.endpoint, port: 8443 } }
    const one = open()
    const two = open()
    expect(await one.store.load()).toEqual([])
    expect(await two.store.load()).toEqual([])
    await one.store.save([memory])
    await two.store.save([other])
    expect(await two.store.load()).toEqual([memory, other])
    // A newer change of the other store stays, although this one removes the entry.
    await one.store.save([{ ...memory, externalPort: 9000 }])
    await two.store.save([])
    expect(await one.store.load()).toEqual([{ ...memory, externalPort: 9000 }])
    await one.store.close()
    expect(await takeLock(path)).toEqual({ holder: process.pid })
    await two.store.close()
    const lock = await takeLock(path)
    expect(isHolder(lock)).toBe(false)
    if (!isHolder(lock)) await lock.release()
    expect([...one.warnings, ...two.warnings]).toEqual([])
  })

  it.skipIf(process.platform === 'win32')(
    'fileStore does not touch or wait for a path that is not a regular file',
    async () => {
      const fifo = join(folder, 'pipe')
      execFileSync('mkfifo', [fifo])
      for (const odd of [fifo, folder, '/dev/null', '/dev/zero']) {
        const before = await stat(odd)
        const warnings: Error[] = []
        const store = fileStore({ path: odd, warn: (error) => warnings.push(error) })
        expect(await store.load()).toEqual([])
        await store.save([memory])
        await store.close()
        expect(warnings).toMatchObject([
          { code: 'STORE_UNUSABLE', message: expect.stringContaining('not a regular file') }
        ])
        expect((await stat(odd)).ino).toBe(before.ino)
      }
    }
  )

  it.skipIf(process.platform !== 'linux')(
    'in a folder that takes no files is read, and each save says why not',
    async () => {
      const warnings: Error[] = []
      const store = fileStore({ path: '/proc/self/postern.json', warn: (error) => warnings.push(error) })
      expect(await store.load()).toEqual([])
      await store.save([memory]).catch(() => undefined)
      await store.close()
      expect(warnings).toMatchObject([{ code: 'STORE_UNUSABLE' }])
    }
  )

  it('fileStore warns if there is no home folder', async () => {
    const script = `
      const { fileStore } = await import(${JSON.stringify(fileURLToPath(new URL('../../dist/index.js', import.meta.url)))})
      const store = fileStore({ warn: ({ message }) => console.log(message) })
      await store.load()
      await store.save([])
      await store.close()`
    const run = (env: NodeJS.ProcessEnv): string =>
      spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', env, cwd: folder }).stdout
    await writeFile(join(folder, 'file'), '')
    expect(run({ HOME: 'relative', XDG_STATE_HOME: '' })).toContain('there is no home folder')
    expect(run({ HOME: '', XDG_STATE_HOME: '' })).toContain('there is no home folder')
    expect(run({ HOME: join(folder, 'file') })).toContain('a part of the path is not a folder')
  })

  it('expose works with a store that cannot be written', async () => {
    await writeFile(join(folder, 'file'), '')
    const warnings: Error[] = []
    const store = fileStore({ path: join(folder, 'file', 'state.json'), warn: (error) => warnings.push(error) })
    expect(await store.load()).toEqual([])
    await store.save([memory])
    expect(warnings).toHaveLength(1)
  })
})
