import { rename } from 'node:fs/promises'
import { basename } from 'node:path'
import { formatMemories, type Memory, parseMemories } from '@postern/core'
import { natError, systemClock, waitAtMost } from '@postern/interface'
import { isHolder, takeLock } from '../files/file-lock.js'
import { explainFileError, hasCode, makeFolder, readRegularFile, removeLeftovers, replaceFile } from '../files/files.js'
import { type FileLock, type Holder } from '../files/lock-types.js'
import { type MemoryMap, mapOf, mergeMemories } from './merge-memories.js'

/** The time after which a disk is reported as not answering, in ms. A local disk takes milliseconds. */
const answerMs = 3000
/** How long `close` waits for the disk, in ms. The file is released later if the disk answers again. */
const closeMs = 1000

/** How this run may use the file: it has the lock, it can only read, or it must not use the file. */
type Use = FileLock | 'reads' | 'none'

/** A file of mappings that this process has open, for all stores with its path. */
export interface MemoryFile {
  /** Resolves to the stored mappings. */
  load(user: FileUser): Promise<readonly Memory[]>
  /** Writes the changes of one user since `base`, and keeps the rest. Rejects with `STORE_UNUSABLE`. */
  save(user: FileUser, base: MemoryMap, next: MemoryMap): Promise<void>
  /** Releases the file if no other store of this process uses it. */
  close(user: FileUser): Promise<void>
}

/** A store that uses the file. */
export interface FileUser {
  readonly warn: (error: Error) => void
  /** The path that an earlier version used for this program. It is read if there is no file yet. Undefined if the
   * caller named the file. */
  readonly earlier: string | undefined
}

/** State of the process, because a process can take each lock only once. */
const openFiles = new Map<string, MemoryFile>()

/** Returns the file with a path, the same for all stores of this process. */
export function openMemoryFile(path: string): MemoryFile {
  const file = openFiles.get(path) ?? createMemoryFile(path)
  openFiles.set(path, file)
  return file
}

function createMemoryFile(path: string): MemoryFile {
  const users = new Set<FileUser>()
  let current: MemoryMap = new Map()
  let use: Use | undefined
  let isTold = false
  let isSlow = false
  let isFailing = false
  /** The last disk operation. */
  let turn: Promise<unknown> = Promise.resolve()

  function warn(error: Error): void {
    for (const each of new Set([...users].map((user) => user.warn))) each(error)
  }
  function tell(message: string, cause?: unknown): void {
    if (isTold) return
    isTold = true
    warn(natError('STORE_UNUSABLE', message, { cause }))
  }
  function refuse(message: string, cause?: unknown): readonly Memory[] {
    use = 'none'
    tell(`${message}: this run remembers nothing`, cause)
    return []
  }

  /** Runs one disk operation at a time, so that a hanging disk blocks one thread and not all. Warns if the disk is
   * slow. */
  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = turn.then(work, work)
    turn = next.catch(() => undefined)
    const over = new AbortController()
    systemClock.sleep(answerMs, over).then(
      () => {
        if (!isSlow)
          warn(
            natError(
              'STORE_UNUSABLE',
              `the disk of ${path} does not answer: this run continues without the file until it does`
            )
          )
        isSlow = true
      },
      () => undefined
    )
    return await next.finally(() => over.abort())
  }

  async function take(): Promise<Use> {
    if (use === 'none') return use
    if (typeof use === 'object') {
      if (await use.isHeld()) return use
      // The folder was removed, together with the lock.
      await use.release()
    }
    await makeFolder(path)
    const taken = await takeLock(path)
    if (isHolder(taken)) {
      const isOurName = [...users].some(({ earlier }) => earlier !== undefined)
      const remedy = isOurName ? ". Give each program its own file: fileStore({ app: 'a-name' })" : ''
      use = 'none'
      tell(`${path} is in use by ${nameOf(taken)}: this run remembers nothing${remedy}`)
      return 'none'
    }
    use = taken
    await removeLeftovers(path)
    return taken
  }

  async function read(): Promise<readonly Memory[]> {
    if (path === '') return refuse('there is no home folder for a file: set XDG_STATE_HOME or HOME')
    try {
      if ((await take()) === 'none') return []
    } catch (error) {
      if (!hasCode(error, ...unwritableCodes))
        return refuse(`${path} cannot be used, ${explainFileError(error)}`, error)
      // The file may be readable although it cannot be written. Each `save` tries to take the lock again.
      use = 'reads'
    }
    let text: string
    try {
      text = (await readRegularFile(path)).toString('utf8')
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return await readEarlier()
      return refuse(`${path} cannot be used, ${explainFileError(error)}`, error)
    }
    try {
      return parseMemories(text)
    } catch (error) {
      const aside = `${path}.damaged-${Date.now()}`
      const isAside = await rename(path, aside).then(
        () => true,
        () => false
      )
      tell(`${path} is damaged${isAside ? ` and was set aside as ${basename(aside)}` : ''}`, error)
      return []
    }
  }

  /** Reads the file that an earlier version wrote under another name, unless a process still uses it. Does not move the
   * file, because another program may have the same name. */
  async function readEarlier(): Promise<readonly Memory[]> {
    const earlier = [...users].map((user) => user.earlier).find((each) => each !== undefined && each !== path)
    if (earlier === undefined) return []
    const text = await readRegularFile(earlier).catch(() => undefined)
    if (text === undefined) return []
    const lock = await takeLock(earlier).catch(() => undefined)
    if (lock === undefined || isHolder(lock)) return []
    await lock.release()
    try {
      return parseMemories(text.toString('utf8'))
    } catch {
      // The file belongs to another program, or is damaged.
      return []
    }
  }

  async function write(base: MemoryMap, next: MemoryMap): Promise<void> {
    try {
      if ((await take()) === 'none') return
      const merged = mergeMemories(current, base, next)
      await replaceFile(path, formatMemories([...merged.values()]))
      current = merged
      isFailing = false
    } catch (error) {
      const message = `${path} cannot be written, ${explainFileError(error)}. The old content stays; the next change tries again`
      const failure = natError('STORE_UNUSABLE', message, { cause: error })
      if (!isFailing) warn(failure)
      isFailing = true
      throw failure
    }
  }

  return {
    load(user) {
      // The failure that an earlier store found may be over.
      if (!users.has(user) && use === 'none') {
        use = undefined
        isTold = false
      }
      users.add(user)
      return inTurn(async () => {
        const memories = await read()
        current = mapOf(memories)
        return memories
      })
    },
    save(user, base, next) {
      users.add(user)
      return inTurn(() => write(base, next))
    },
    async close(user) {
      if (!users.delete(user) || users.size > 0) return
      const released = inTurn(async () => {
        // Another store has opened the file meanwhile.
        if (users.size > 0) return
        const lock = use
        use = undefined
        isTold = false
        // If this fails, the kernel frees the lock at the end of the process.
        if (typeof lock === 'object') await lock.release().catch(() => undefined)
      })
      await waitAtMost(systemClock, closeMs, released, undefined)
    }
  }
}

const unwritableCodes = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO', 'EMFILE', 'ENFILE']

const nameOf = ({ holder }: Holder): string => {
  if (holder === undefined) return 'another process'
  return holder === process.pid
    ? `process ${holder}, which is this one or has its id in another container`
    : `process ${holder}`
}
