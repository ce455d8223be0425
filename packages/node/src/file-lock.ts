import { basename, dirname, join } from 'node:path'
import { realpath } from 'node:fs/promises'
import { takeByExclusiveOpen } from './exclusive-open.js'
import { takeBySocket } from './socket-lock.js'

/** The right to write a file, until it is released or the process ends, in whatever way it ends. */
export interface FileLock {
  /** Whether the lock still stands: its folder may have been removed. */
  isHeld(): Promise<boolean>
  /** Idempotent. */
  release(): Promise<void>
}

/** The process that has the lock. */
export interface Holder {
  /** Its process id, in its own namespace; undefined if that cannot be told. */
  readonly holder: number | undefined
}

/**
 * Takes the lock of a file, or tells which process has it. Of all the processes and threads of this machine that ask at
 * the same time, exactly one gets it. The kernel frees it when the process ends: no text in a file says who is alive, so it
 * holds across containers, reused process ids, `kill -9` and restarts of the machine.
 *
 * The folder must exist. Rejects with the system's error if there can be no lock.
 */
export async function takeLock(file: string): Promise<FileLock | Holder> {
  // Two paths to one folder are one lock.
  const path = join(await realpath(dirname(file)), basename(file))
  return isSocketPlatform ? takeBySocket(path) : takeByExclusiveOpen(`${path}.lock`)
}

/** Where `open` has no flag for it, a socket is what the kernel closes with its process. */
const isSocketPlatform = !['darwin', 'win32', 'freebsd', 'openbsd', 'netbsd'].includes(process.platform)

export const isHolder = (taken: FileLock | Holder): taken is Holder => 'holder' in taken
