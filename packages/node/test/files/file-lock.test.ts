import { type ChildProcess, execFileSync, fork, spawn, spawnSync } from 'node:child_process'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { Memory } from '@postern/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isLocked } from '../../src/files/file-lock.js'
import { fileStore, takeLock } from '../../src/index.js'

const program = fileURLToPath(new URL('../support/owner.mjs', import.meta.url))
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

interface Answer {
  readonly pid: number
  readonly known: number
  readonly warnings: readonly string[]
}
interface Order {
  readonly does: 'load' | 'save' | 'close'
  readonly path: string
  readonly atMs?: number
  readonly memories?: readonly Memory[]
}

let folder = ''
let path = ''
const children: ChildProcess[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-'))
  path = join(folder, 'state.json')
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

async function start(): Promise<ChildProcess> {
  const child = fork(program)
  children.push(child)
  await once(child, 'message')
  return child
}

async function tell(child: ChildProcess, order: Order): Promise<Answer> {
  const answer = once(child, 'message')
  child.send(order)
  const [message] = await answer
  return message as Answer
}

async function kill(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

const load = async (at = path): Promise<{ readonly known: number; readonly warnings: readonly string[] }> => {
  const warnings: string[] = []
  const store = fileStore({ path: at, warn: ({ message }) => warnings.push(message) })
  const known = (await store.load()).length
  await store.close()
  return { known, warnings }
}
const free = { known: 1, warnings: [] }
const isOwner = ({ warnings }: Answer): boolean => warnings.length === 0

describe('of processes that start together', { timeout: 60_000 }, () => {
  const left: readonly (readonly [string, (lock: string) => Promise<unknown>])[] = [
    ['nothing', async () => undefined],
    ['an empty file', (lock) => writeFile(lock, '')],
    ['garbage', (lock) => writeFile(lock, 'not a process\n')],
    ['the id of a process that is gone', (lock) => writeFile(lock, '4194303\n')],
    ['the id of a live process that is another', (lock) => writeFile(lock, `${process.pid}\n`)],
    ['a folder', (lock) => mkdir(lock)],
    ['a dangling link', (lock) => symlink('/nowhere', lock)]
  ]
  it.each(left)(
    'exactly one process owns a file with the lock %s, and again exactly one after kill -9',
    async (_, leave) => {
      const all = await Promise.all(Array.from({ length: 6 }, start))
      for (let round = 0; round < 6; round++) {
        const file = join(folder, `${round}.json`)
        await leave(`${file}.lock`)
        const atMs = Date.now() + 15
        const answers = await Promise.all(all.map((each) => tell(each, { does: 'load', path: file, atMs })))
        expect(answers.filter(isOwner)).toHaveLength(1)
        const owner = answers.find(isOwner)?.pid
        for (const { warnings } of answers.filter((each) => !isOwner(each)))
          expect(warnings).toEqual([expect.stringContaining(`in use by process ${owner}`)])
      }
      for (const each of all) await kill(each)
      const next = await Promise.all(Array.from({ length: 6 }, start))
      const file = join(folder, '0.json')
      const answers = await Promise.all(
        next.map((each) => tell(each, { does: 'load', path: file, atMs: Date.now() + 15 }))
      )
      expect(answers.filter(isOwner)).toHaveLength(1)
    }
  )
})

describe('a file', () => {
  it('a file is locked while a process has it, stopped or not, and no longer when that is closed or killed', async () => {
    const owner = await start()
    expect(await isLocked(path)).toBe(false)
    await tell(owner, { does: 'load', path })
    expect(await isLocked(path)).toBe(true)
    if (process.platform !== 'win32') owner.kill('SIGSTOP')
    expect(await isLocked(path)).toBe(true)
    await kill(owner)
    expect(await isLocked(path)).toBe(false)
    const next = await start()
    await tell(next, { does: 'load', path })
    await tell(next, { does: 'close', path })
    expect(await isLocked(path)).toBe(false)
    expect(await load()).toEqual({ known: 0, warnings: [] })
  })

  it('a file is free at once when its owner closes it', async () => {
    const owner = await start()
    await tell(owner, { does: 'save', path, memories: [memory] })
    expect((await load()).warnings).toEqual([expect.stringContaining(`in use by process ${owner.pid}`)])
    await tell(owner, { does: 'close', path })
    expect(await load()).toEqual(free)
    expect((await readdir(folder)).filter((name) => name !== 'state.json.lock')).toEqual(['state.json'])
  })

  it('a file is free at once after kill -9', async () => {
    const owner = await start()
    await tell(owner, { does: 'save', path, memories: [memory] })
    await kill(owner)
    expect(await load()).toEqual(free)
  })

  it.skipIf(process.platform === 'win32')('a file still belongs to a process that is stopped by a signal', async () => {
    const owner = await start()
    await tell(owner, { does: 'save', path, memories: [memory] })
    owner.kill('SIGSTOP')
    expect((await load()).warnings).toEqual([expect.stringContaining(`in use by process ${owner.pid}`)])
    expect((await load()).warnings).toEqual([expect.stringContaining(`in use by process ${owner.pid}`)])
  })

  it('a file is the same under two names of its folder', async () => {
    await mkdir(join(folder, 'real'))
    await symlink(join(folder, 'real'), join(folder, 'name'))
    const owner = await start()
    await tell(owner, { does: 'save', path: join(folder, 'real', 'a.json'), memories: [memory] })
    expect((await load(join(folder, 'name', 'a.json'))).warnings).toHaveLength(1)
  })

  it('a file has a lock even if its path or name is longer than a socket address', async () => {
    const deep = join(folder, 'd'.repeat(100), 'e'.repeat(100))
    for (const file of [join(deep, 'a.json'), join(deep, `${'n'.repeat(180)}.json`)]) {
      const owner = await start()
      await tell(owner, { does: 'save', path: file, memories: [memory] })
      expect((await load(file)).warnings).toEqual([expect.stringContaining(`in use by process ${owner.pid}`)])
      await kill(owner)
      expect(await load(file)).toEqual(free)
    }
  })

  it('a file belongs to one thread of a process', async () => {
    const threads = [new Worker(program), new Worker(program)]
    await Promise.all(threads.map((each) => once(each, 'message')))
    const answers: Answer[] = []
    for (const each of threads) {
      each.postMessage({ does: 'load', path }, [])
      answers.push((await once(each, 'message'))[0])
    }
    expect(answers.map(isOwner)).toEqual([true, false])
    await Promise.all(threads.map((each) => each.terminate()))
    expect((await load()).warnings).toEqual([])
  })

  it('a file belongs to one worker of a cluster, not to the primary', async () => {
    cluster.setupPrimary({ exec: program })
    const workers = [cluster.fork(), cluster.fork()]
    for (const each of workers) children.push(each.process)
    await Promise.all(workers.map((each) => once(each, 'message')))
    const answers: Answer[] = []
    for (const each of workers) {
      each.send({ does: 'load', path })
      answers.push((await once(each, 'message'))[0])
    }
    expect(answers.map(isOwner)).toEqual([true, false])
  })

  it('an owner takes the lock again after its folder was removed', async () => {
    const store = fileStore({ path: join(folder, 'gone', 'a.json') })
    await store.save([memory])
    await rm(join(folder, 'gone'), { recursive: true })
    await store.save([memory])
    expect(await takeLock(store.path)).toEqual({ holder: process.pid })
    await store.close()
    expect(await load(store.path)).toEqual(free)
  })

  it('a lock does not keep the process alive', () => {
    const text = `const { fileStore } = await import(${JSON.stringify(fileURLToPath(new URL('../../dist/index.js', import.meta.url)))})
      await fileStore({ path: ${JSON.stringify(path)} }).load()`
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', text], { timeout: 20_000 })
    expect(status).toBe(0)
  })
})

const namespaces = spawnSync('unshare', ['-fp', '--mount-proc', 'true']).status === 0
describe.skipIf(!namespaces)(`in a container${namespaces ? '' : ' (skipped: unshare is not permitted here)'}`, () => {
  const text = (ending: string): string => `
    const { fileStore } = await import(${JSON.stringify(fileURLToPath(new URL('../../dist/index.js', import.meta.url)))})
    const store = fileStore({ path: ${JSON.stringify(path)}, warn: ({ message }) => console.log(message) })
    const known = await store.load()
    console.log(process.pid + ' ' + known.length)
    await store.save([${JSON.stringify(memory)}])
    ${ending}`
  const args = (ending: string): readonly string[] => [
    '-fp',
    '--mount-proc',
    process.execPath,
    '--input-type=module',
    '-e',
    text(ending)
  ]

  it('a file is free after kill -9 although the next process has the same id', () => {
    const run = (): string =>
      spawnSync('unshare', args(`process.kill(process.pid, 'SIGKILL')`), { encoding: 'utf8' }).stdout.trim()
    expect([run(), run(), run()]).toEqual(['1 0', '1 1', '1 1'])
  })

  it('a file belongs to a process of another container with the same id', async () => {
    const first = spawn('unshare', ['--kill-child', ...args('setInterval(() => {}, 1000)')])
    children.push(first)
    await once(first.stdout, 'data')
    while (!existsSync(path)) await new Promise(setImmediate)
    const said = execFileSync('unshare', [...args('')], { encoding: 'utf8' })
    expect(said).toContain('in use by process 1')
  })
})

describe.skipIf(process.platform !== 'linux')('of sockets beside a file', () => {
  it('sockets and unfinished files of dead processes are removed, and a live one stays', async () => {
    const dead = await start()
    await tell(dead, { does: 'save', path, memories: [memory] })
    await kill(dead)
    await writeFile(`${path}.lock-77-0123456789abcdef.new`, '')
    await writeFile(`${path}.lock-77-0123456789abcdef`, '')
    await writeFile(`${path}.lock-78-0123456789abcdef-owner`, '')
    await writeFile(`${path}.tmp-0123456789abcdef`, 'half a fi')
    await writeFile(`${path}.20260101`, 'a backup')
    await writeFile(`${path}.damaged-1`, 'kept')
    const store = fileStore({ path })
    expect(await store.load()).toEqual([memory])
    const names = (await readdir(folder)).map((name) => name.replace(/\d+-[0-9a-f]{16}/, 'N'))
    expect(names.toSorted()).toEqual(
      [
        'state.json',
        'state.json.20260101',
        'state.json.damaged-1',
        'state.json.lock',
        'state.json.lock-N',
        'state.json.lock-N-owner'
      ].toSorted()
    )
    expect(await readFile(`${path}.lock`, 'utf8')).toBe(`${process.pid}\n`)
    await store.close()
  })

  it('a socket that accepts connections counts as a live process', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(`${path}.lock-77-0123456789abcdef`, resolve))
    expect((await load()).warnings).toEqual([expect.stringContaining('in use by process 77')])
    await new Promise((resolve) => server.close(resolve))
    expect((await load()).warnings).toEqual([])
  })
})

describe('the lock of a store', () => {
  it('the lock of a store does not remove files that only start like its own', async () => {
    const notes = `${path}.lock-notes.txt`
    await writeFile(notes, 'mine')
    const store = fileStore({ path })
    await store.load()
    await store.close()
    expect(await readFile(notes, 'utf8')).toBe('mine')
  })

  it.skipIf(process.getuid?.() !== 0 || spawnSync('unshare', ['-m', 'true']).status !== 0)(
    'is released without an error where the file system has become read-only',
    async () => {
      const code = `
        import { execSync } from 'node:child_process'
        import { fileStore } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}
        execSync('mount -t tmpfs none ${folder}')
        const store = fileStore({ path: '${path}', warn() {} })
        await store.load()
        execSync('mount -o remount,ro ${folder}')
        await store.close()
        console.log('closed')`
      const args = ['-m', process.execPath, '--input-type=module', '-e', code]
      expect(spawnSync('unshare', args, { encoding: 'utf8' })).toMatchObject({ status: 0, stdout: 'closed\n' })
    }
  )
})
