import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { takeByExclusiveOpen } from './exclusive-open.js'
import type { FileLock, Holder } from './lock-types.js'
import { isTakenBySocket, takeBySocket } from './socket-lock.js'

/**
 * Takes the lock of a file, or resolves to the process that has it. Of all processes and threads of this machine that
 * ask at the same time, exactly one gets it. The kernel frees the lock when the process ends. The lock does not depend
 * on process ids in files, so it is correct across containers, reused process ids, `kill -9` and restarts of the
 * machine.
 *
 * The folder must exist. Rejects with the error of the system if the lock cannot be taken.
 */
export async function takeLock(file: string): Promise<FileLock | Holder> {
  // Different paths to the same folder must give the same lock.
  const path = join(await realpath(dirname(file)), basename(file))
  return isSocketPlatform ? takeBySocket(path) : takeByExclusiveOpen(`${path}.lock`)
}

/** Resolves to whether a process has the lock of a file. Rejects like {@link takeLock}. */
export async function isLocked(file: string): Promise<boolean> {
  const path = join(await realpath(dirname(file)), basename(file))
  if (isSocketPlatform) return isTakenBySocket(path)
  const taken = await takeByExclusiveOpen(`${path}.lock`)
  if (isHolder(taken)) return true
  await taken.release()
  return false
}

/** Whether the platform has no exclusive `open`; a socket, which the kernel closes with its process, replaces it
 * there. */
const isSocketPlatform = !['darwin', 'win32', 'freebsd', 'openbsd', 'netbsd'].includes(process.platform)

/** Returns whether another process has the lock. */
export const isHolder = (taken: FileLock | Holder): taken is Holder => 'holder' in taken
