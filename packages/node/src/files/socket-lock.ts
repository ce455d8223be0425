import { access, constants, link, open, readdir, rename, stat, unlink, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeCrypto } from '@postern/net'
import { hasCode, randomName } from './files.js'
import type { FileLock, Holder } from './lock-types.js'

/** How long contenders wait for another contender that may have been stopped by a signal, in ms. */
const patienceMs = 1000
const pauseMs = 8

/**
 * Takes a lock by announcing itself first and checking for others then. A contender listens on a Unix socket beside the
 * file, under a name that is never reused, and then connects to all sockets of that kind. A socket that accepts belongs
 * to a live process; the kernel accepts even if the process is stopped or busy. A socket that refuses belongs to a dead
 * process. A contender owns the file if it finds no other live one after it has announced itself. Of two contenders,
 * the later one finds the earlier one, so there are never two owners.
 */
export async function takeBySocket(path: string): Promise<FileLock | Holder> {
  const place = await openPlace(path)
  try {
    const taken = await contend(place)
    if ('holder' in taken) await place.close()
    return taken
  } catch (error) {
    await place.close()
    if (!hasCode(error, ...noSocketCodes)) throw error
    return takeAbstract(path)
  }
}

/** Resolves to whether a process has the lock, or is about to take it. Removes the sockets of dead processes. */
export async function isTakenBySocket(path: string): Promise<boolean> {
  const place = await openPlace(path)
  try {
    const names = await readdir(place.folder)
    // An abstract socket leaves no file, and is used only where no other is possible.
    if (!names.some((name) => name.startsWith(place.prefix))) return await isAlive(await abstractName(path))
    return (await look(place, undefined)).length > 0
  } finally {
    await place.close()
  }
}

/** The error codes of file systems without sockets (FAT, some network shares and FUSE), or without `/proc` to shorten
 * the path. */
const noSocketCodes = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EPROTO', 'ENAMETOOLONG']

/** The folder of a file, and the prefix of the names of its sockets. */
interface Place {
  readonly path: string
  readonly folder: string
  readonly prefix: string
  /** Returns a path to a name in the folder that fits into the 107 bytes of a socket address. */
  at(name: string): string
  close(): Promise<void>
}

async function openPlace(path: string): Promise<Place> {
  const folder = dirname(path)
  const base = basename(path)
  const start = Buffer.byteLength(base) <= 40 ? base : `postern-${hashOf(base).slice(0, 16)}`
  const prefix = `${start}.lock-`
  const common = { path, folder, prefix }
  if (Buffer.byteLength(join(folder, nameFor(prefix))) <= 100)
    return { ...common, at: (name) => join(folder, name), close: () => Promise.resolve() }
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  let isOpen = true
  return {
    ...common,
    at: (name) => `/proc/self/fd/${handle.fd}/${name}`,
    async close() {
      if (isOpen) await handle.close()
      isOpen = false
    }
  }
}

const nameFor = (prefix: string): string => `${prefix}${process.pid}-${randomName()}`
const hashOf = (text: string): string => nodeCrypto().createHash('sha256').update(text).digest('hex')

async function contend(place: Place): Promise<FileLock | Holder> {
  const untilMs = performance.now() + patienceMs
  let own: Announced | undefined
  try {
    for (let tries = 0; ; ) {
      const others = await look(place, own?.name)
      const owner = others.find(({ isOwner }) => isOwner)
      const first = others[0]
      if (owner !== undefined) return await withdraw(own, owner)
      if (first !== undefined && performance.now() > untilMs) return await withdraw(own, first)
      if (own !== undefined && first === undefined) return await enter(place, own)
      if (first === undefined) {
        own = await announce(place).catch((error: unknown) => {
          // An owner that came and went mistook the socket for one of a dead process.
          if (hasCode(error, 'ENOENT') && tries++ < 5) return undefined
          throw error
        })
        continue
      }
      // Of contenders that see each other, the one with the lowest id stays, and checks until the others have
      // withdrawn.
      if (own !== undefined && others.some(({ id }) => id < idOf(own?.name))) {
        await own.end()
        own = undefined
      }
      await sleep(pauseMs)
    }
  } catch (error) {
    await own?.end()
    throw error
  }
}

async function withdraw(own: Announced | undefined, { pid }: Other): Promise<Holder> {
  await own?.end()
  return { holder: pid }
}

const idOf = (name = ''): string => name.slice(-16)

interface Announced {
  readonly name: string
  end(): Promise<void>
}

/** Listens under a temporary name and then renames the socket, because between `bind` and `listen` it would look
 * dead. */
async function announce(place: Place): Promise<Announced> {
  const name = nameFor(place.prefix)
  const early = `${name}.new`
  const server = await listen(place.at(early))
  const file = join(place.folder, name)
  try {
    await rename(join(place.folder, early), file)
  } catch (error) {
    server.close()
    throw error
  }
  return {
    name,
    async end() {
      // In this order: a socket that exists and refuses counts as dead, and others may remove it.
      await unlink(file).catch(() => undefined)
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

/** Listens without keeping the process alive. `exclusive`, because workers of a cluster would share the socket of the
 * primary. */
function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // Any user with access to the folder may check whether the process lives; the socket has no other use.
    server.listen({ path, exclusive: true, writableAll: !path.startsWith('\0') }, () => {
      server.off('error', reject)
      // A process without free file descriptors cannot accept, but the kernel has accepted the connection already.
      server.on('error', () => undefined)
      server.unref()
      resolve(server)
    })
  })
}

interface Other {
  readonly name: string
  readonly pid: number
  readonly id: string
  readonly isOwner: boolean
}

/** Resolves to the live contenders. Removes the sockets of dead ones. */
async function look({ folder, prefix, at }: Place, own: string | undefined): Promise<readonly Other[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const owners = new Set(entries.map(({ name }) => name).filter((name) => name.endsWith(ownerSuffix)))
  const others: Other[] = []
  for (const entry of entries) {
    const { name } = entry
    const match = name.startsWith(prefix) ? /^(\d+)-([0-9a-f]{16})$/.exec(name.slice(prefix.length)) : null
    if (match === null || name === own || !entry.isSocket()) continue
    if (await isAlive(at(name)))
      others.push({ name, pid: Number(match[1]), id: match[2] ?? '', isOwner: owners.has(`${name}${ownerSuffix}`) })
    else await unlink(join(folder, name)).catch(() => undefined)
  }
  return others
}

const ownerSuffix = '-owner'

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => {
      if (hasCode(error, 'ECONNREFUSED', 'ENOENT')) resolve(false)
      // The queue of the socket is full, or it belongs to another user.
      else if (hasCode(error, 'EAGAIN', 'EACCES', 'EPERM', 'ECONNRESET', 'EPIPE')) resolve(true)
      else reject(error)
    })
  })
}

/** Becomes the owner: marks itself as the owner, and removes the files of earlier owners. */
async function enter(place: Place, own: Announced): Promise<FileLock> {
  const { path, folder, prefix } = place
  const marker = join(folder, `${own.name}${ownerSuffix}`)
  // On a full disk there is no marker, and others wait before they treat this process as the owner.
  await writeFile(marker, `${process.pid}\n`, { mode: 0o600, flag: 'wx' }).catch(() => undefined)
  await removeRest(place, own.name)
  // For users, and for earlier versions, which used this file as the lock.
  await unlink(`${path}.lock`).catch(() => undefined)
  await link(marker, `${path}.lock`).catch(() => undefined)
  let released: Promise<void> | undefined
  async function leave(): Promise<void> {
    await unlink(marker).catch(() => undefined)
    await unlink(`${path}.lock`).catch(() => undefined)
    try {
      await own.end()
    } finally {
      await place.close()
    }
  }
  return {
    isHeld: async () => released === undefined && !(await isGone(join(folder, own.name))),
    release: () => (released ??= leave())
  }

  /** Removes sockets that were never renamed, and markers without a socket. */
  async function removeRest({ at }: Place, name: string): Promise<void> {
    const names = await readdir(folder).catch((): string[] => [])
    for (const other of names) {
      if (!other.startsWith(prefix) || other.startsWith(name) || !ownName.test(other.slice(prefix.length))) continue
      const socket = other.endsWith(ownerSuffix) ? other.slice(0, -ownerSuffix.length) : other
      const isUsed = names.includes(socket) && (await isAlive(at(socket)).catch(() => true))
      if (!isUsed) await unlink(join(folder, other)).catch(() => undefined)
    }
  }
}

/** The names that this module creates, without the prefix. */
const ownName = /^\d+-[0-9a-f]{16}(?:\.new|-owner)?$/

/** Resolves to whether a file does not exist. False if that is unknown, because the folder cannot be read at the
 * moment. */
const isGone = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    (error: unknown) => hasCode(error, 'ENOENT', 'ENOTDIR')
  )

/** Takes the lock with an abstract socket, which has no file. Its name is unique for the folder and the file, in this
 * network namespace. */
async function takeAbstract(path: string): Promise<FileLock | Holder> {
  const name = await abstractName(path)
  let server: Server
  try {
    server = await listen(name)
  } catch (error) {
    if (hasCode(error, 'EADDRINUSE')) return { holder: undefined }
    throw error
  }
  let released: Promise<void> | undefined
  return {
    isHeld: () => Promise.resolve(released === undefined),
    release: () => (released ??= new Promise((resolve) => void server.close(() => resolve())))
  }
}

async function abstractName(path: string): Promise<string> {
  const { dev, ino } = await stat(dirname(path), { bigint: true })
  return `\0postern-${hashOf(`${dev} ${ino} ${basename(path)}`).slice(0, 32)}`
}
