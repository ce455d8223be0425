import { isAbsolute, resolve } from 'node:path'
import type { Memory, Store } from '@postern/core'
import { checkOptions } from '@postern/interface'
import { stateFile } from './files.js'
import { type MemoryMap, mapOf } from './merge-memories.js'
import { programName, scriptName } from './program-name.js'
import { openMemoryFile } from './memory-file.js'

export interface FileStoreOptions {
  /** The file.
   * @default `$XDG_STATE_HOME/postern/<app>.json`, with `~/.local/state` where that is not set */
  readonly path?: string
  /** The program's name in the default path.
   * @default the name in the nearest `package.json` with that of the main script; without one, with a hash of its path */
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
  /** As `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** It is a part of a path: another folder is named with `path`. */
function checkApp(app: string | undefined): void {
  if (app === undefined || /^[^/\\\0]+$/.test(app)) return
  throw new TypeError(`fileStore(): app is a name without slashes, and not "${app}": name another folder with path`)
}

function checkPath(path: string | undefined): void {
  if (path === undefined || (path !== '' && !path.includes('\0'))) return
  throw new TypeError(`fileStore(): path is not the path of a file: ${JSON.stringify(path)}`)
}

/**
 * Remembers mappings in a JSON file: written whole or not at all, readable by its owner alone.
 *
 * One process owns a file, and all stores of that process on one path share it: each saves what it has changed. A second
 * process starts with empty memory and saves nothing. A file that is damaged is set aside, and the run starts with empty
 * memory. What is no regular file is left alone. Each is told as `STORE_UNUSABLE`, once.
 *
 * `save` rejects with `STORE_UNUSABLE` if the file cannot be written; the file from before stays as it was, and the next
 * `save` tries again. A disk that does not answer holds up `load` and `save`, but blocks one thread of the process at most.
 */
export function fileStore(options: FileStoreOptions = {}): FileStore {
  checkOptions('fileStore()', options, { path: 'string', app: 'string', warn: 'function' })
  checkApp(options.app)
  checkPath(options.path)
  const { app, warn = emitWarning } = options
  const { path = defaultPath(app ?? programName()) } = options
  const isDefault = app === undefined && options.path === undefined
  const file = openMemoryFile(isAbsolute(path) || path === '' ? path : resolve(path))
  const user = { warn, earlier: isDefault ? defaultPath(scriptName()) : undefined }
  /** What this store knows to be in the file. */
  let base: MemoryMap = new Map()
  const close = (): Promise<void> => file.close(user)

  return {
    path,
    async load() {
      const memories = await file.load(user)
      base = mapOf(memories)
      return memories
    },
    async save(memories: readonly Memory[]) {
      const next = mapOf(memories)
      await file.save(user, base, next)
      base = next
    },
    close,
    [Symbol.asyncDispose]: close
  }
}

/** One function for all, so that it is told once what concerns several stores. */
const emitWarning = (error: Error): void => process.emitWarning(error)

const defaultPath = (app: string): string => stateFile(`${app}.json`) ?? ''
