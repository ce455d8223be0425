import { constants, type Stats } from 'node:fs'
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { errorText } from '@postern/interface'

const maxReadBytes = 256 * 1024 * 1024
const noWait = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Replaces a file, with mode 0600. The bytes are on the disk, with the folder entry, when it resolves. On any failure the
 * old file is untouched, nothing is left beside it, and the promise rejects with the system's error.
 */
export async function replaceFile(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = await writeBeside(path, data)
  try {
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
  await syncFolder(dirname(path))
}

/**
 * Creates a file, with mode 0600, as {@link replaceFile} does, but never over another one. Resolves with false if there
 * is one already.
 */
export async function createFile(path: string, data: string | Uint8Array): Promise<boolean> {
  const temporary = await writeBeside(path, data)
  try {
    await link(temporary, path)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    if (!hasCode(error, ...noLinkCodes)) throw error
    // File systems without hard links (FAT, some network shares).
    return await createInPlace(path, data)
  } finally {
    await rm(temporary, { force: true }).catch(() => undefined)
  }
  await syncFolder(dirname(path))
  return true
}

/**
 * Reads a regular file. Rejects for everything else, without waiting: a pipe would block a thread of the process until
 * another program writes to it.
 */
export async function readRegularFile(path: string): Promise<Buffer> {
  const file = await open(path, noWait)
  try {
    const { size } = await regular(file)
    if (size > maxReadBytes) throw new NotAFile(`it has ${size} bytes, which is too many`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

/** Says that there is something else than a file of ours at a path, which must stay as it is. */
export class NotAFile extends Error {
  override readonly name = 'NotAFile'
}

async function regular(file: FileHandle): Promise<Stats> {
  const found = await file.stat()
  if (!found.isFile()) throw new NotAFile('it is not a regular file')
  return found
}

/** Removes what writers that were killed left beside a file: names that only {@link replaceFile} and {@link createFile} give,
 * never a backup of the user's. The caller must be the only writer, or give a minimum age. */
export async function removeLeftovers(path: string, minAgeMs = 0): Promise<void> {
  const folder = dirname(path)
  const names = await readdir(folder).catch((): string[] => [])
  for (const name of names) {
    if (!isTemporary(name, basename(path))) continue
    const file = join(folder, name)
    const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (Date.now() - mtimeMs >= minAgeMs) await rm(file, { force: true }).catch(() => undefined)
  }
}

/** Makes the folder of a file, for its owner alone. */
export async function makeFolder(path: string): Promise<void> {
  await makeFolders(dirname(path))
}

/** What `mkdir` does with `recursive`, which in Node never ends where a file system says that what is there is not there
 * (`/proc`, an automount). */
async function makeFolders(folder: string): Promise<void> {
  const make = (): Promise<void> => mkdir(folder, { mode: 0o700 })
  try {
    await make()
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return
    const parent = dirname(folder)
    if (hasCode(error, 'ENOENT') && parent !== folder) {
      await makeFolders(parent)
      return make().catch((again: unknown) => {
        if (!hasCode(again, 'EEXIST')) throw again
      })
    }
    // A folder that is there and may not be written, for example: whether it serves shows later.
    if (
      await stat(folder).then(
        (found) => found.isDirectory(),
        () => false
      )
    )
      return
    throw error
  }
}

/** Where a file of this user's state belongs; undefined if there is no home folder. A relative `XDG_STATE_HOME` counts from the
 * working folder. */
export function stateFile(name: string): string | undefined {
  const state = environment('XDG_STATE_HOME')
  if (state !== '') return join(state, 'postern', name)
  try {
    const home = homedir()
    return isAbsolute(home) ? join(home, '.local', 'state', 'postern', name) : undefined
  } catch {
    // A user without an entry in the password file, as in some containers.
    return undefined
  }
}

/** Returns a variable of the environment; empty where it is not set, and where Deno does not let this program read it. */
function environment(name: string): string {
  try {
    return process.env[name] ?? ''
  } catch {
    return ''
  }
}

/** What to do about an error of the file system, in a few words; its text if there is nothing to add. */
export function explainFileError(error: unknown): string {
  const text = errorText(error)
  const found = Object.entries(explanations).find(([code]) => hasCode(error, code))
  return found === undefined ? text : `${found[1]} (${found[0]})`
}

const explanations: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space',
  EDQUOT: 'the disk quota is used up: free some space',
  EROFS: 'the file system is read-only',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  ENOTDIR: 'a part of the path is not a folder',
  ENAMETOOLONG: 'the path is too long',
  EMFILE: 'this process has too many open files',
  EIO: 'the disk reports an error'
}

export const hasCode = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && codes.some((code) => error.code === code)

const noLinkCodes = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'UNKNOWN', 'EISDIR']

/** A suffix of digits alone would also match a backup with a date, such as `relay.key.20260101`. */
const isTemporary = (name: string, base: string): boolean =>
  name.startsWith(`${base}.`) && /^tmp-[0-9a-f]{16}$/.test(name.slice(base.length + 1))

export const randomName = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex')

/** Writes a temporary file in the same folder. Resolves with its path; on failure there is none. */
async function writeBeside(path: string, data: string | Uint8Array): Promise<string> {
  const temporary = `${path}.tmp-${randomName()}`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await writeWhole(file, data)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
  return temporary
}

async function createInPlace(path: string, data: string | Uint8Array): Promise<boolean> {
  let file: FileHandle
  try {
    file = await open(path, 'wx', 0o600)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
  try {
    await writeWhole(file, data)
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined)
    throw error
  }
  await syncFolder(dirname(path))
  return true
}

/** Writes, syncs, checks and closes: a full disk may be told by any of these steps, or by the size alone. */
async function writeWhole(file: FileHandle, data: string | Uint8Array): Promise<void> {
  const bytes = Buffer.from(data)
  try {
    // Goes on after a short write until everything is written, or an error is told.
    await file.writeFile(bytes)
    await file.sync()
    const { size } = await file.stat()
    if (size !== bytes.byteLength) throw new Error(`${size} bytes of ${bytes.byteLength} were written`)
  } catch (error) {
    await file.close().catch(() => undefined)
    throw error
  }
  await file.close()
}

/** Makes a new folder entry last. Windows and some file systems have no such thing. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  let folder: FileHandle
  try {
    folder = await open(path, constants.O_RDONLY)
  } catch (error) {
    // A folder that may be written to and not read.
    if (hasCode(error, 'EACCES', 'EPERM')) return
    throw error
  }
  try {
    await folder.sync()
  } catch (error) {
    if (!hasCode(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EBADF')) throw error
  } finally {
    await folder.close()
  }
}
