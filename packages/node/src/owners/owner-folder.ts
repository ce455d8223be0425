import { readdir, readFile, readlink, rename, stat, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeFs } from '@postern/net'
import { isHolder, isLocked, takeLock } from '../files/file-lock.js'
import { hasCode, makeFolder, randomName, removeFile } from '../files/files.js'
import { type FileLock } from '../files/lock-types.js'
import { formatRecord, type OwnerRecord, parseRecord } from './owner-record.js'

/** The records of other processes on this machine and network stack. */
export interface OtherRecords {
  /** The records of live processes, by the name of the record. */
  readonly live: ReadonlyMap<string, OwnerRecord>
  /** The records of processes that ended without removing them. They are removed, so each is returned once. */
  readonly left: readonly OwnerRecord[]
  /** The names of all records that were there, those of other machines and namespaces too. */
  readonly names: readonly string[]
}

/** A folder with one record for each process that owns endpoints. A record is valid while its lock is held. */
export interface OwnerFolder {
  /** Runs `work` while no other process does. Waits for others at most one second. */
  alone<T>(work: () => Promise<T>): Promise<T>
  /** Resolves to the records of other processes. Call it within `alone`. */
  others(): Promise<OtherRecords>
  /** Replaces the record of this process. */
  publish(endpoints: OwnerRecord['endpoints']): Promise<void>
  /** Calls `heard` with the name of the record when one of another process has changed; undefined where the system does not tell
   * the name. Returns false if the system cannot watch the folder. */
  watch(heard: (record: string | undefined) => void): boolean
  /** Removes the record, and releases the locks. */
  close(): Promise<void>
}

/** The maximum wait for the lock of the folder, in ms. Work in the folder takes milliseconds, but its process may be
 * stopped. */
const waitMs = 1000
const pauseMs = 5
/** The age after which a record of another machine or namespace counts as dead, in ms: its lock cannot be checked from
 * here. */
const foreignMs = 24 * 60 * 60 * 1000
const recordName = /^[0-9a-f]{16}\.json$/

/** Opens the folder. Creates nothing until a record is published. */
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

  /** Resolves to whether a live process owns the record. Removes the record of a dead one, and what its lock has left. Each process
   * makes a new random name, so no process takes that lock again. */
  async function isLive(record: string, all: readonly string[]): Promise<boolean> {
    if (await isLocked(join(folder, record))) return true
    // Where a lock is a file, asking for it makes the file.
    const rest = new Set([record, `${record}.lock`, ...all.filter((entry) => entry.startsWith(`${record}.`))])
    for (const each of rest) await removeFile(join(folder, each))
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
      const all = await readdir(folder)
      const names = all.filter((each) => each !== name && recordName.test(each))
      // A process that was killed at its start has left a lock and no record.
      const begun = all.flatMap((each) => /^([0-9a-f]{16}\.json)\./.exec(each)?.[1] ?? [])
      for (const each of new Set(begun)) if (each !== name && !all.includes(each)) await isLive(each, all)
      for (const each of names) {
        const file = join(folder, each)
        const record = parseRecord(await readFile(file, 'utf8').catch(() => ''))
        const isHere = record?.place === place
        if (!isHere && (await isRecent(file))) continue
        const isAlive = await isLive(each, all)
        if (record === undefined || !isHere) continue
        if (isAlive) live.set(each, record)
        else left.push(record)
      }
      return { live, left, names }
    },
    async publish(endpoints) {
      place ??= await findPlace()
      await makeFolder(own)
      if (presence === undefined || !(await presence.isHeld())) {
        await presence?.release()
        const lock = await takeLock(own)
        presence = isHolder(lock) ? undefined : lock
      }
      // Not synced: after a crash of the machine the record is useless anyway.
      const temporary = `${own}.tmp`
      try {
        await writeFile(temporary, formatRecord({ pid: process.pid, program, place, endpoints }), { mode: 0o600 })
        await rename(temporary, own)
      } catch (error) {
        // A full disk leaves an empty or truncated file.
        await removeFile(temporary).catch(() => undefined)
        throw error
      }
    },
    watch(heard) {
      try {
        const watcher = nodeFs().watch(folder, { persistent: false }, (_, file) => {
          if (file === null || (file !== name && recordName.test(file))) heard(file ?? undefined)
        })
        watcher.on('error', () => watcher.close())
        watching = watcher
        return true
      } catch {
        // There are no more watches, or the file system does not support them.
        return false
      }
    },
    async close() {
      watching?.close()
      watching = undefined
      const lock = presence
      presence = undefined
      await removeFile(own)
      await lock?.release()
      await removeFile(`${own}.lock`)
    }
  }
}

/** Resolves to an id of this machine or container. Others may share the folder, and the same address is another
 * endpoint there. */
async function findPlace(): Promise<string> {
  if (process.platform !== 'linux') return hostname()
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(hostname)
  const namespace = await readlink('/proc/self/ns/net').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT', 'EACCES', 'EPERM')) return ''
    throw error
  })
  return `${boot.trim()} ${namespace}`
}
