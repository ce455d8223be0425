import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, extname, join } from 'node:path'
import { formatMemories, parseMemories, type Store } from '@postern/core'
import { natError } from '@postern/interface'
import writeFileAtomic from 'write-file-atomic'

export interface FileStoreOptions {
  /** The file.
   * @default `$XDG_STATE_HOME/postern/<app>.json`, with `~/.local/state` where that is not set */
  readonly path?: string
  /** The program's name in the default path.
   * @default the name of its main script */
  readonly app?: string
  /** Told once when the file cannot be used, and why.
   * @default `process.emitWarning` */
  readonly warn?: (error: Error) => void
}

/** A store that holds its file as long as it is open. */
export interface FileStore extends Store {
  readonly path: string
  /** Lets another process have the file. Twice is once. */
  close(): Promise<void>
}

/**
 * Remembers mappings in a JSON file: written whole or not at all, readable by its owner alone.
 *
 * One process owns a file. A second one starts with empty memory and saves nothing; a file that is damaged is set aside,
 * and the run starts with empty memory. Both are told as `STORE_UNUSABLE`, once.
 */
export function fileStore(options: FileStoreOptions = {}): FileStore {
  const { app = mainScript(), warn = (error) => process.emitWarning(error) } = options
  const { path = join(stateHome(), 'postern', `${app}.json`) } = options
  const lock = `${path}.lock`
  let owner: Promise<boolean> | undefined
  let warned = false

  function complain(message: string, cause?: unknown): void {
    if (warned) return
    warned = true
    warn(natError('STORE_UNUSABLE', message, { cause }))
  }
  async function own(): Promise<boolean> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      const holder = await takeLock(lock)
      if (holder !== undefined) complain(`${path} is in use by process ${holder}: this run remembers nothing`)
      return holder === undefined
    } catch (error) {
      complain(`${path} cannot be used: this run remembers nothing`, error)
      return false
    }
  }

  return {
    path,
    async load() {
      owner ??= own()
      if (!(await owner)) return []
      try {
        return parseMemories(await readFile(path, 'utf8'))
      } catch (error) {
        if (isMissing(error)) return []
        const aside = `${path}.damaged-${Date.now()}`
        await rename(path, aside).catch(() => undefined)
        complain(`${path} is damaged and was set aside as ${basename(aside)}`, error)
        return []
      }
    },
    async save(memories) {
      owner ??= own()
      if (!(await owner)) return
      await writeFileAtomic(path, formatMemories(memories), { mode: 0o600 })
    },
    async close() {
      const owned = await owner
      owner = undefined
      if (owned === true) await rm(lock, { force: true })
    }
  }
}

/** Takes the lock, also from a process that is no more. Resolves to the process that has it; undefined if it is ours. */
async function takeLock(lock: string): Promise<number | undefined> {
  for (let tries = 0; ; tries++) {
    try {
      const file = await open(lock, 'wx', 0o600)
      await file.writeFile(`${process.pid}\n`)
      await file.close()
      return undefined
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
      const holder = Number((await readFile(lock, 'utf8').catch(() => '')).trim())
      if (tries > 2 || (holder > 0 && isAlive(holder))) return holder
      await rm(lock, { force: true })
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return isCode(error, 'EPERM')
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
const isMissing = (error: unknown): boolean => isCode(error, 'ENOENT')

const stateHome = (): string => process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state')
const mainScript = (): string => {
  const script = process.argv[1] ?? 'node'
  return basename(script, extname(script)) || 'node'
}
