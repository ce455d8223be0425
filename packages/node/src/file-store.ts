import { rename } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { formatMemories, type Memory, parseMemories, type Store } from '@postern/core'
import { checkOptions, natError, systemClock } from '@postern/interface'
import { type FileLock, type Holder, isHolder, takeLock } from './file-lock.js'
import {
  explainFileError,
  hasCode,
  makeFolder,
  readRegularFile,
  removeLeftovers,
  replaceFile,
  stateFile
} from './files.js'

export interface FileStoreOptions {
  /** The file.
   * @default `$XDG_STATE_HOME/postern/<app>.json`, with `~/.local/state` where that is not set */
  readonly path?: string
  /** The program's name in the default path.
   * @default the name of its main script */
  readonly app?: string
  /** Told once when the file cannot be used, and why; and once when it cannot be written, until it can be again.
   * @default `process.emitWarning` */
  readonly warn?: (error: Error) => void
}

/** A store that holds its file as long as it is open. */
export interface FileStore extends Store {
  readonly path: string
  /** Releases the file for another process. Idempotent. */
  close(): Promise<void>
}

/** A local disk takes milliseconds. One that takes longer than this, in ms, is told as one that does not answer. */
const answerMs = 3000
/** `close` waits for the disk at most so long, in ms. The file is released later, if the disk comes back. */
const closeMs = 1000

/** What the file is to this run: it has the lock, it can only read, or it must not use the file. */
type Use = FileLock | 'reads' | 'none'

/** It is a part of a path: another folder is named with `path`. */
function checkApp(app: string | undefined): void {
  if (app === undefined || /^[^/\\\0]+$/.test(app)) return
  throw new TypeError(`fileStore(): app is a name without slashes, and not "${app}": name another folder with path`)
}

/**
 * Remembers mappings in a JSON file: written whole or not at all, readable by its owner alone.
 *
 * One process owns a file. A second one starts with empty memory and saves nothing. A file that is damaged is set aside,
 * and the run starts with empty memory. What is no regular file is left alone. Each is told as `STORE_UNUSABLE`, once.
 *
 * `save` rejects with `STORE_UNUSABLE` if the file cannot be written; the file from before stays as it was, and the next
 * `save` tries again. A disk that does not answer holds up `load` and `save`, but blocks one thread of the process at most.
 */
export function fileStore(options: FileStoreOptions = {}): FileStore {
  checkOptions('fileStore()', options, { path: 'string', app: 'string', warn: 'function' })
  checkApp(options.app)
  const { app = mainScript(), warn = (error) => process.emitWarning(error) } = options
  const { path = defaultPath(app) } = options
  let use: Use | undefined
  let isTold = false
  let isSlow = false
  let isFailing = false
  /** What was asked of the disk last. */
  let turn: Promise<unknown> = Promise.resolve()

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

  /** One call of the disk at a time, so that a disk that is away blocks one thread and not all. Tells if it is slow. */
  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = turn.then(work, work)
    turn = next.catch(() => undefined)
    const over = new AbortController()
    systemClock.sleep(answerMs, over).then(
      () => {
        if (!isSlow)
          warn(natError('STORE_UNUSABLE', `${path} does not answer: this run goes on without it until it does`))
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
      // The folder was removed, and with it the lock.
      await use.release()
    }
    await makeFolder(path)
    const taken = await takeLock(path)
    if (isHolder(taken)) {
      refuse(`${path} is in use by ${nameOf(taken)}`)
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
      // Where nothing can be written there may be something to read. Each `save` tries again to get the lock.
      use = 'reads'
    }
    let text: string
    try {
      text = (await readRegularFile(path)).toString('utf8')
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return []
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

  async function write(memories: readonly Memory[]): Promise<void> {
    try {
      if ((await take()) === 'none') return
      await replaceFile(path, formatMemories(memories))
      isFailing = false
    } catch (error) {
      const message = `${path} cannot be written, ${explainFileError(error)}. What it held stays; the next change tries again`
      const failure = natError('STORE_UNUSABLE', message, { cause: error })
      if (!isFailing) warn(failure)
      isFailing = true
      throw failure
    }
  }

  return {
    path,
    load: () => inTurn(read),
    save: (memories) => inTurn(() => write(memories)),
    async close() {
      const over = new AbortController()
      const released = inTurn(async () => {
        const lock = use
        use = undefined
        // The kernel frees it at the end of the process, if not before.
        if (typeof lock === 'object') await lock.release().catch(() => undefined)
      })
      const late = systemClock.sleep(closeMs, over).catch(() => undefined)
      await Promise.race([released, late]).finally(() => over.abort())
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

const defaultPath = (app: string): string => stateFile(`${app}.json`) ?? ''

const mainScript = (): string => {
  const script = process.argv[1] ?? 'node'
  return basename(script, extname(script)) || 'node'
}
