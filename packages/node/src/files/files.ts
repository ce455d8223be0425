import type { Stats } from 'node:fs'
import { constants, type FileHandle, link, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { errorText } from '@postern/interface'

const maxReadBytes = 256 * 1024 * 1024
const noWait = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Replaces a file atomically, with mode 0600. When it resolves, the content and the directory entry are on the disk. On
 * any failure the old file is unchanged, no temporary file is left, and the promise rejects with the error of the
 * system.
 */
export async function replaceFile(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = await writeBeside(path, data)
  try {
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncFolder(dirname(path))
}

/**
 * Creates a file with mode 0600, like {@link replaceFile}, but never replaces an existing one. Resolves to false if the
 * file exists already.
 */
export async function createFile(path: string, data: string | Uint8Array): Promise<boolean> {
  const temporary = await writeBeside(path, data)
  try {
    await link(temporary, path)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    if (!hasCode(error, ...noLinkCodes)) throw error
    // The file system has no hard links (FAT, some network shares).
    return await createInPlace(path, data)
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
  await syncFolder(dirname(path))
  return true
}

/**
 * Reads a regular file. Rejects at once for anything else: reading a pipe would block a thread until another program
 * writes to it. Rejects with the error of the system if the file cannot be read.
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

/** The error for a path that is not a regular file, or one that is too large. It must not be touched. */
export class NotAFile extends Error {
  override readonly name = 'NotAFile'
}

async function regular(file: FileHandle): Promise<Stats> {
  const found = await file.stat()
  if (!found.isFile()) throw new NotAFile('it is not a regular file')
  return found
}

/** Removes the temporary files that killed writers left beside a file. Their names are given only by {@link
 * replaceFile} and {@link createFile}, so backups of the user stay. The caller must be the only writer, or give a
 * minimum age. */
export async function removeLeftovers(path: string, minAgeMs = 0): Promise<void> {
  const folder = dirname(path)
  const names = await readdir(folder).catch((): string[] => [])
  for (const name of names) {
    if (!isTemporary(name, basename(path))) continue
    const file = join(folder, name)
    const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (Date.now() - mtimeMs >= minAgeMs) await unlink(file).catch(() => undefined)
  }
}

/** Removes a file if it is there. Rejects with the error of the system if it cannot be removed. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
  }
}

/** Creates the folder of a file, accessible only by its owner. */
export async function makeFolder(path: string): Promise<void> {
  await makeFolders(dirname(path))
}

/** Creates a folder and its parents, like `mkdir` with `recursive`, which in Node.js never ends on file systems that
 * report an existing folder as missing (`/proc`, an automount). */
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
    // The folder exists, but may not be writable, for example. A later write shows that.
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

/** Returns the path for a state file of this user; undefined if there is no home folder. A relative `XDG_STATE_HOME` is
 * relative to the working folder. */
export function stateFile(name: string): string | undefined {
  const state = environment('XDG_STATE_HOME')
  if (state !== '') return join(state, 'postern', name)
  try {
    const home = homedir()
    return isAbsolute(home) ? join(home, '.local', 'state', 'postern', name) : undefined
  } catch {
    // The user has no entry in the password file, as in some containers.
    return undefined
  }
}

/** Returns an environment variable; empty if it is not set, or if Deno does not let this program read it. */
function environment(name: string): string {
  try {
    return process.env[name] ?? ''
  } catch {
    return ''
  }
}

/** Returns a short explanation of a file system error; its message if there is nothing to add. */
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

/** Returns whether an error has one of the codes. */
export const hasCode = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && codes.some((code) => error.code === code)

const noLinkCodes = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'UNKNOWN', 'EISDIR']

/** Returns whether a name is one of a temporary file. A suffix of digits alone would also match a backup with a date,
 * such as `relay.key.20260101`. */
const isTemporary = (name: string, base: string): boolean =>
  name.startsWith(`${base}.`) && /^tmp-[0-9a-f]{16}$/.test(name.slice(base.length + 1))

/** Returns 16 random hexadecimal digits. Not of `Math.random()`: its numbers repeat in programs with a seed, and two owners would have one
 * name. */
export const randomName = (): string => Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex')

/** Writes a temporary file in the same folder. Resolves to its path; removes it on failure. */
async function writeBeside(path: string, data: string | Uint8Array): Promise<string> {
  const temporary = `${path}.tmp-${randomName()}`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await writeWhole(file, data)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
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
    await unlink(path).catch(() => undefined)
    throw error
  }
  await syncFolder(dirname(path))
  return true
}

/** Writes, syncs, checks and closes a file: a full disk may be reported by any of these steps, or show only in the
 * size. */
async function writeWhole(file: FileHandle, data: string | Uint8Array): Promise<void> {
  const bytes = Buffer.from(data)
  try {
    // Continues after a short write until everything is written, or until there is an error.
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

/** Syncs a folder, so that a new entry survives a crash. Windows and some file systems do not support it. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  let folder: FileHandle
  try {
    folder = await open(path, constants.O_RDONLY)
  } catch (error) {
    // The folder is writable but not readable.
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
