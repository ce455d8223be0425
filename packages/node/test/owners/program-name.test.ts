import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatMemories, type Memory } from '@postern/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { programName } from '../../src/owners/program-name.js'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function script(name: string, manifest?: object): Promise<string> {
  const path = join(folder, name)
  await mkdir(join(path, '..'), { recursive: true })
  if (manifest !== undefined) await writeFile(join(path, '..', 'package.json'), JSON.stringify(manifest))
  return path
}

it('programName consists of the package and the script', async () => {
  expect(programName(await script('game/index.mjs', { name: '@me/my-game' }))).toBe('me-my-game-index')
  expect(programName(await script('game/dist/server.js', { type: 'module' }))).toBe('me-my-game-server')
})

it('programName gives two programs called index.mjs without a package different stable names', async () => {
  const [one, two] = [await script('one/index.mjs'), await script('two/index.mjs')]
  expect(programName(one)).toMatch(/^index-[0-9a-f]{8}$/)
  expect(programName(one)).not.toBe(programName(two))
  expect(programName(one)).toBe(programName(one))
})

it('programName skips an invalid package.json', async () => {
  const path = await script('odd/index.mjs')
  await writeFile(join(folder, 'odd', 'package.json'), '{ no json')
  expect(programName(path)).toMatch(/^index-[0-9a-f]{8}$/)
  expect(programName(await script('dots/index.mjs', { name: '../../etc' }))).toBe('etc-index')
})

it('fileStore reads the file of an earlier version under the name of the script, and does not move it', async () => {
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
  const path = await script('app/main.mjs', { name: 'my-app' })
  await mkdir(join(folder, 'postern'))
  await writeFile(join(folder, 'postern', 'main.json'), formatMemories([memory]))
  const index = JSON.stringify(fileURLToPath(new URL('../../dist/index.js', import.meta.url)))
  await writeFile(
    path,
    `const { fileStore } = await import(${index})
     const store = fileStore()
     const memories = await store.load()
     await store.save(memories)
     console.log(store.path, memories.length)
     await store.close()`
  )
  const env = { ...process.env, XDG_STATE_HOME: folder }
  const { stdout } = spawnSync(process.execPath, [path], { encoding: 'utf8', env })
  expect(stdout.trim()).toBe(`${join(folder, 'postern', 'my-app-main.json')} 1`)
  expect((await readdir(join(folder, 'postern'))).toSorted()).toEqual(['main.json', 'my-app-main.json'])
})
