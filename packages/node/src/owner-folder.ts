import { watch } from 'node:fs'
import { readdir, readFile, readlink, rename, rm, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FileLock, isHolder, takeLock } from './file-lock.js'
import { hasCode, makeFolder, randomName } from './files.js'
import { formatRecord, type OwnerRecord, parseRecord } from './owner-record.js'

/** The records of other processes at one place. */
export interface OtherRecords {
  /** By the name of the record. */
  readonly live: ReadonlyMap<string, OwnerRecord>
  /** Of processes that ended without removing them: told once, since they are removed. */
  readonly left: readonly OwnerRecord[]
}

/** A folder with one record for each process that owns endpoints. A record counts as long as its lock is held. */
export interface OwnerFolder {
  /** Runs work while no other process does. Waits for them a second at most. */
  alone<T>(work: () => Promise<T>): Promise<T>
  /** To be called within `alone`. */
  others(): Promise<OtherRecords>
  /** Replaces the record of this process. */
  publish(endpoints: OwnerRecord['endpoints']): Promise<void>
  /** Calls `heard` when a record of another process has changed. Returns false where the system does not tell. */
  watch(heard: () => void): boolean
  /** Removes the record, and lets go of everything. */
  close(): Promise<void>
}

/** What works in the folder takes some milliseconds. A process that is stopped meanwhile keeps the others waiting, in ms. */
const waitMs = 1000
const pauseMs = 5
/** Records of another machine or namespace cannot be told dead from here, in ms. */
const foreignMs = 24 * 60 * 60 * 1000
const recordName = /^[0-9a-f]{16}\.json$/

export function openOwnerFolder(folder: string, program: string): OwnerFolder {
  const name = `${randomName()}.json`
  const own = join(folder, name)
  let place: string | undefined
  let presence: FileLock | undefined
  let watching: { close(): void } | undefined

  async function enter(): Promise<FileLock | undefined> {
    await makeFolder(own)
    for (const untilMs = performance.now() + waitMs; ; ) {
      const lock = await takeLock(join(folder, 'owners'))
      if (!isHolder(lock)) return lock
      if (performance.now() > untilMs) return undefined
      await sleep(pauseMs)
    }
  }

  /** Whether a live process has the record. What a dead one left is removed. */
  async function isLive(file: string): Promise<boolean> {
    const lock = await takeLock(file)
    if (isHolder(lock)) return true
    for (const each of [file, `${file}.tmp`]) await rm(each, { force: true })
    await lock.release()
    await rm(`${file}.lock`, { force: true })
    return false
  }

  async function isRecent(file: string): Promise<boolean> {
    const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    return Date.now() - mtimeMs < foreignMs
  }

  return {
    async alone(work) {
      const lock = await enter()
      try {
        return await work()
      } finally {
        await lock?.release()
      }
    },
    async others() {
      place ??= await findPlace()
      const live = new Map<string, OwnerRecord>()
      const left: OwnerRecord[] = []
      for (const each of await readdir(folder)) {
        if (each === name || !recordName.test(each)) continue
        const file = join(folder, each)
        const record = parseRecord(await readFile(file, 'utf8').catch(() => ''))
        const isHere = record?.place === place
        if (!isHere && (await isRecent(file))) continue
        const isAlive = await isLive(file)
        if (record === undefined || !isHere) continue
        if (isAlive) live.set(each, record)
        else left.push(record)
      }
      return { live, left }
    },
    async publish(endpoints) {
      place ??= await findPlace()
      await makeFolder(own)
      if (presence === undefined || !(await presence.isHeld())) {
        await presence?.release()
        const lock = await takeLock(own)
        presence = isHolder(lock) ? undefined : lock
      }
      // Not synced: what a crash of the machine loses is of no use after it.
      const temporary = `${own}.tmp`
      try {
        await writeFile(temporary, formatRecord({ pid: process.pid, program, place, endpoints }), { mode: 0o600 })
        await rename(temporary, own)
      } catch (error) {
        // A full disk leaves a file that is empty or cut.
        await rm(temporary, { force: true }).catch(() => undefined)
        throw error
      }
    },
    watch(heard) {
      try {
        const watcher = watch(folder, { persistent: false }, (_, file) => {
          if (file === null || (file !== name && recordName.test(file))) heard()
        })
        watcher.on('error', () => watcher.close())
        watching = watcher
        return true
      } catch {
        // No more watches, or a file system without them.
        return false
      }
    },
    async close() {
      watching?.close()
      watching = undefined
      const lock = presence
      presence = undefined
      await rm(own, { force: true })
      await lock?.release()
      await rm(`${own}.lock`, { force: true })
    }
  }
}

/** What tells this machine, or this container, from others that share the folder: the same address is another endpoint there. */
async function findPlace(): Promise<string> {
  if (process.platform !== 'linux') return hostname()
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(hostname)
  const namespace = await readlink('/proc/self/ns/net').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'EACCES', 'EPERM')) return ''
    throw error
  })
  return `${boot.trim()} ${namespace}`
}
