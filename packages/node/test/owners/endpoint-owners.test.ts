import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type MappingEvent, memoryStore } from '@postern/core'
import { createGateway, type FakeGateway, listen } from '@postern/testkit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isHolder, takeLock } from '../../src/files/file-lock.js'
import type { FileLock } from '../../src/files/lock-types.js'
import { type Exposure, endpointOwners, expose } from '../../src/index.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-'))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
})

async function router(): Promise<{ readonly gateway: FakeGateway; readonly ladder: string }> {
  const gateway = createGateway({ externalAddress: '11.0.0.2' })
  const listening = await listen(gateway)
  cleanups.push(() => listening.close())
  const { address } = listening
  return { gateway, ladder: `pcp:${address},nat-pmp:${address},upnp:${address}` }
}

async function serving(): Promise<ReturnType<typeof createServer>> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  return server
}

const portOf = (server: ReturnType<typeof createServer>): number => {
  const bound = server.address()
  return typeof bound === 'object' && bound !== null ? bound.port : 0
}

async function exposed(server: ReturnType<typeof createServer>, strategies: string, path = folder): Promise<Exposure> {
  const owners = endpointOwners({ folder: path, program: 'here', warn: (error) => warnings.push(error) })
  const exposure = await expose(server, { strategies, store: memoryStore(), owners })
  cleanups.push(() => exposure.close())
  return exposure
}
const warnings: Error[] = []

/** Another program that maps the same port. */
class Program {
  readonly #child: ChildProcess
  readonly told: MappingEvent[] = []
  readonly #waiting = new Set<() => void>()

  constructor(ladder: string, port: number, at: string = folder) {
    const index = (name: string): string =>
      JSON.stringify(fileURLToPath(new URL(`../../../${name}/dist/index.js`, import.meta.url)))
    const text = `
      const { createTraversal } = await import(${index('core')})
      const { endpointOwners, parseLadder } = await import(${index('node')})
      const owners = endpointOwners({ folder: ${JSON.stringify(at)}, program: 'there' })
      const traversal = createTraversal({ strategies: parseLadder(${JSON.stringify(ladder)}), owners })
      for (const name of ['mapped', 'renewed', 'changed', 'lost', 'failed', 'released', 'shared'])
        traversal.addEventListener(name, ({ detail }) => console.log(JSON.stringify(detail)))
      traversal.addEndpoint({ protocol: 'tcp', family: 4, address: '127.0.0.1', port: ${port} })
      process.once('SIGTERM', () => traversal.stop().then(() => process.exit(0)))
      await traversal.start()
      setInterval(() => undefined, 60_000)`
    this.#child = spawn(process.execPath, ['--input-type=module', '-e', text], { stdio: ['ignore', 'pipe', 'inherit'] })
    cleanups.push(() => this.#child.kill('SIGKILL'))
    const { stdout } = this.#child
    if (stdout === null) throw new Error('nothing to read')
    createInterface({ input: stdout }).on('line', (line) => {
      this.told.push(JSON.parse(line) as MappingEvent)
      for (const each of this.#waiting) each()
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  async next(name: MappingEvent['event']): Promise<MappingEvent> {
    for (;;) {
      const found = this.told.find(({ event }) => event === name)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal)
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
  }
}

/** The violations without those of the 4 s between requests (§11.2.1): each program, also after a restart, spaces only its own
 * requests. */
const violations = ({ violations: all }: FakeGateway): readonly string[] =>
  all.filter((text) => !text.includes('§11.2.1'))

const heard = (exposure: Exposure, name: MappingEvent['event']): Promise<MappingEvent> =>
  new Promise((resolve) => exposure.addEventListener(name, ({ detail }) => resolve(detail)))

describe('one server, exposed twice in one process', () => {
  it.each(['the folder', 'no folder'])(
    'a server that is exposed twice keeps its mapping until the last exposure closes, with %s',
    async (kind) => {
      const { gateway, ladder } = await router()
      const server = await serving()
      let path = folder
      if (kind === 'no folder') {
        path = join(folder, 'file')
        await writeFile(path, '')
      }
      const one = await exposed(server, ladder, path)
      const two = await exposed(server, ladder, path)
      expect(gateway.mappings).toHaveLength(1)
      const left = heard(one, 'shared')
      await one.close()
      expect((await left).owners).toEqual([{ pid: process.pid, program: 'here' }])
      expect(gateway.mappings).toHaveLength(1)
      expect(two.report().verdict).toBe('public')
      await two.close()
      expect(gateway.mappings).toEqual([])
      expect(violations(gateway)).toEqual([])
      expect(warnings.splice(0).map(String)).toEqual(
        kind === 'no folder' ? [expect.stringContaining('are not known')] : []
      )
    }
  )

  it('exposures leave no file behind', async () => {
    const { ladder } = await router()
    const exposure = await exposed(await serving(), ladder)
    expect(await readdir(folder)).not.toEqual([])
    await exposure.close()
    expect(await readdir(folder)).toEqual([])
  })
})

describe('a port that two programs want', { timeout: 20_000 }, () => {
  it('two programs share one mapping, which stays when the first one leaves', async () => {
    const { gateway, ladder } = await router()
    const server = await serving()
    const exposure = await exposed(server, ladder)
    const other = new Program(ladder, portOf(server))
    expect(await other.next('mapped')).toMatchObject({ strategy: 'pcp' })
    expect((await other.next('shared')).owners).toEqual([{ pid: process.pid, program: 'here' }])
    expect(gateway.mappings).toHaveLength(1)
    await other.end('SIGTERM')
    expect(other.told.map(({ event }) => event)).not.toContain('released')
    expect(gateway.mappings).toHaveLength(1)
    await exposure.close()
    expect(gateway.mappings).toEqual([])
  })

  it('the second program keeps the mapping and deletes it at its end', async () => {
    const { gateway, ladder } = await router()
    const server = await serving()
    const exposure = await exposed(server, ladder)
    const other = new Program(ladder, portOf(server))
    await other.next('shared')
    await exposure.close()
    expect(gateway.mappings).toHaveLength(1)
    await other.end('SIGTERM')
    expect(other.told.map(({ event }) => event)).toContain('released')
    expect(gateway.mappings).toEqual([])
  })

  it('a program takes over the mapping of a killed one with its key', async () => {
    const { gateway, ladder } = await router()
    const server = await serving()
    const other = new Program(ladder, portOf(server))
    await other.next('mapped')
    await other.end('SIGKILL')
    expect(gateway.mappings).toHaveLength(1)
    const [before] = gateway.mappings
    const exposure = await exposed(server, ladder)
    expect(gateway.mappings).toMatchObject([{ externalPort: before?.externalPort, via: 'pcp' }])
    await exposure.close()
    expect(gateway.mappings).toEqual([])
    expect(violations(gateway)).toEqual([])
    expect(await readdir(folder)).toEqual([])
  })

  it('a program maps again at once if another one deleted the mapping', async () => {
    const { gateway, ladder } = await router()
    const server = await serving()
    const exposure = await exposed(server, ladder)
    // It assumes to be the last one, like one that leaves at the moment at which this one comes.
    const other = new Program(ladder, portOf(server))
    await other.next('shared')
    const renewed = heard(exposure, 'renewed')
    gateway.forget()
    await other.end('SIGTERM')
    await renewed
    expect(gateway.mappings).toHaveLength(1)
  })
})

/** Takes a lock as soon as this process has released it. */
async function takenLock(path: string): Promise<FileLock> {
  for (;;) {
    const lock = await takeLock(path)
    if (!isHolder(lock)) return lock
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('a record of another process', () => {
  it('that was never written leaves no lock behind', async () => {
    const dead = join(folder, '0000000000000001.json')
    await writeFile(`${dead}.lock-77-0123456789abcdef-owner`, '77\n')
    await writeFile(`${dead}.lock`, '77\n')
    await writeFile(`${dead}.tmp`, '{"half')
    const begun = join(folder, '0000000000000002.json')
    const lock = await takenLock(begun)
    const before = await readdir(folder)
    await endpointOwners({ folder, program: 'here' }).holders(endpoint)
    const after = await readdir(folder)
    expect(after.toSorted()).toEqual(before.filter((each) => each.startsWith('0000000000000002.json')).toSorted())
    await lock.release()
  })

  const endpoint = { protocol: 'tcp', family: 4, address: '127.0.0.1', port: 8080 } as const

  it('tells of a program that came and left before it was read, and of no other one', async () => {
    let changes = 0
    const registry = endpointOwners({ folder, program: 'here' })
    const claim = registry.join(endpoint, () => (changes += 1))
    cleanups.push(() => claim.end())
    await claim.agree('192.168.1.1', 'key')
    const ofAnotherMachine = join(folder, '0000000000000001.json')
    await writeFile(ofAnotherMachine, '{}')
    await registry.holders(endpoint)
    await rm(ofAnotherMachine)
    // As long as another process holds the lock, no record is read.
    const lock = await takenLock(join(folder, 'owners'))
    const unread = join(folder, '0000000000000002.json')
    await writeFile(unread, '{}')
    await rm(unread)
    await lock.release()
    await expect.poll(() => changes).toBe(1)
    await registry.holders(endpoint)
    expect(changes).toBe(1)
  })
})
