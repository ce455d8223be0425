import { constants, type FileHandle, open, readFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { nodeCrypto } from '@postern/net'
import { hasCode } from './files.js'
import type { FileLock, Holder } from './lock-types.js'

/**
 * `UV_FS_O_EXLOCK` of libuv, which `node:fs` does not export. On the BSDs and macOS it is `O_EXLOCK`; on Windows libuv
 * opens the file without sharing.
 */
const exclusive = process.platform === 'win32' ? 0x10_00_00_00 : 0x20
const flags = constants.O_RDWR | constants.O_CREAT | (constants.O_NONBLOCK ?? 0) | exclusive

/**
 * Takes a lock by opening a file in a way that excludes other processes. The file stays when the lock is released,
 * because a process that removed it could remove the lock of another process.
 */
export async function takeByExclusiveOpen(lock: string): Promise<FileLock | Holder> {
  try {
    return await hold(lock)
  } catch (error) {
    if (hasCode(error, ...takenCodes)) return { holder: await readHolder(lock) }
    if (!hasCode(error, 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'ENOSYS')) throw error
    // The file system does not support locks, so lock a file in the temporary folder, which is the same for all
    // processes of this user.
    return hold(await placeFor(lock)).catch((other: unknown) => {
      if (hasCode(other, ...takenCodes)) return { holder: undefined }
      throw other
    })
  }
}

const takenCodes = ['EAGAIN', 'EWOULDBLOCK', 'EBUSY']

async function hold(lock: string): Promise<FileLock> {
  let file: FileHandle | undefined = await open(lock, flags, 0o600)
  const { ino } = await file.stat()
  await file.truncate(0).catch(() => undefined)
  // The process id is only for display, so a full disk does not matter.
  await file.writeFile(`${process.pid}\n`).catch(() => undefined)
  return {
    isHeld: async () => file !== undefined && (await inode(lock)) === ino,
    async release() {
      const handle = file
      file = undefined
      await handle?.close()
    }
  }
}

const inode = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ ino }) => ino,
    () => undefined
  )

/** Resolves to the process id in a held lock file; undefined if it cannot be read, as on Windows. */
async function readHolder(lock: string): Promise<number | undefined> {
  const pid = Number((await readFile(lock, 'utf8').catch(() => '')).trim())
  return Number.isInteger(pid) && pid > 0 ? pid : undefined
}

async function placeFor(lock: string): Promise<string> {
  const { dev, ino } = await stat(dirname(lock), { bigint: true })
  const name = nodeCrypto()
    .createHash('sha256')
    .update(`${dev} ${ino} ${basename(lock)}`)
    .digest('hex')
    .slice(0, 32)
  return join(tmpdir(), `postern-${name}.lock`)
}
