import { isAbsolute, resolve } from 'node:path'
import type { Memory, Store } from '@postern/core'
import { checkOptions } from '@postern/interface'
import { stateFile } from '../files/files.js'
import { programName, scriptName } from '../owners/program-name.js'
import { openMemoryFile } from './memory-file.js'
import { type MemoryMap, mapOf } from './merge-memories.js'

/** The options of {@link fileStore}. */
export interface FileStoreOptions {
  /** The path of the file.
   * @default `$XDG_STATE_HOME/postern/<app>.json`, with `~/.local/state` if that is not set */
  readonly path?: string
  /** The name of the program in the default path.
   * @default the name in the nearest `package.json` and the name of the main script; without a package, the name of the
   * script and a hash of its path */
  readonly app?: string
  /** Called once if the file cannot be used, and once each time that writing starts to fail.
   * @default `process.emitWarning` */
  readonly warn?: (error: Error) => void
}

/** A store in a file, which it keeps locked while it is open. */
export interface FileStore extends Store {
  /** The path of the file; empty if there is no home folder. */
  readonly path: string
  /** Releases the file for other processes. Idempotent. */
  close(): Promise<void>
  /** Like `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Throws a TypeError for a name with slashes, because it is one part of the path. */
function checkApp(app: string | undefined): void {
  if (app === undefined || /^[^/\\\0]+$/.test(app)) return
  throw new TypeError(`fileStore(): app is a name without slashes, not "${app}": use path for another folder`)
}

function checkPath(path: string | undefined): void {
  if (path === undefined || (path !== '' && !path.includes('\0'))) return
  throw new TypeError(`fileStore(): path is not the path of a file: ${JSON.stringify(path)}`)
}

/**
 * Creates a store for mappings in a JSON file. The file is replaced atomically, and readable only by its owner.
 *
 * One process owns a file, and all stores of that process with the same path share it; each saves its own changes. A
 * second process starts without stored mappings and saves nothing. A damaged file is renamed, and the run starts
 * without stored mappings. A path that is not a regular file is not touched. Each of these is reported once to `warn`
 * as `STORE_UNUSABLE`.
 *
 * `save` rejects with `STORE_UNUSABLE` if the file cannot be written; the old file stays, and the next `save` tries
 * again. A disk that does not answer delays `load` and `save`, but blocks at most one thread of the process. Throws a
 * TypeError for invalid options.
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
  /** The state of the file that this store knows. */
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

/** The same function for all stores, so that a warning that concerns several of them is emitted once. */
const emitWarning = (error: Error): void => process.emitWarning(error)

const defaultPath = (app: string): string => stateFile(`${app}.json`) ?? ''
