import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access, link, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FileLock, Holder } from './file-lock.js'
import { hasCode, randomName } from './files.js'

/** A contender that is stopped by a signal at the worst moment keeps the others waiting for so long, in ms. */
const patienceMs = 1000
const pauseMs = 8

/**
 * Takes a lock by announcing first and looking then. A contender listens on a Unix socket beside the file, under a name
 * that is never used again, and then tries all sockets of that kind. A socket that takes the connection belongs to a live
 * process, also to one that is stopped or busy, since the kernel takes it; one that refuses belongs to a dead process for
 * good. A contender owns the file if it saw no other live one after it had announced itself: of two that announce, the later
 * one sees the earlier one, so there are never two owners.
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

/** A file system that has no sockets (FAT, some shares and FUSE), or no `/proc` to shorten the path by. */
const noSocketCodes = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EPROTO', 'ENAMETOOLONG']

/** The folder of a file, with what the names of its sockets begin with. */
interface Place {
  readonly path: string
  readonly folder: string
  readonly prefix: string
  /** A path to a name in the folder that fits the 107 bytes of a socket address. */
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
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

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
          // An owner that came and went took the socket for a left one.
          if (hasCode(error, 'ENOENT') && tries++ < 5) return undefined
          throw error
        })
        continue
      }
      // Of contenders that see each other the one whose name is first stays, and looks until the others have withdrawn.
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

/** Listens under a temporary name and renames the socket then: between `bind` and `listen` it would be taken for dead. */
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
      // In this order: a name that is there and refuses counts as dead, and may be removed by others.
      await rm(file, { force: true }).catch(() => undefined)
      await new Promise((resolve) => server.close(resolve))
    }
  }
}

/** Listens without keeping the process alive. `exclusive`: workers of a cluster would share the socket of the primary. */
function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // Any user who can reach the folder may find out whether it is alive; nothing else can be done with it.
    server.listen({ path, exclusive: true, writableAll: !path.startsWith('\0') }, () => {
      server.off('error', reject)
      // A process that has run out of files cannot accept: the kernel has taken the connection already.
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

/** The live processes that have announced themselves. Removes the sockets of dead ones. */
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
    else await rm(join(folder, name), { force: true }).catch(() => undefined)
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
      // Its queue is full, or it belongs to another user.
      else if (hasCode(error, 'EAGAIN', 'EACCES', 'EPERM', 'ECONNRESET', 'EPIPE')) resolve(true)
      else reject(error)
    })
  })
}

/** Becomes the owner, tells so, and removes what owners before it have left. */
async function enter(place: Place, own: Announced): Promise<FileLock> {
  const { path, folder, prefix } = place
  const marker = join(folder, `${own.name}${ownerSuffix}`)
  // Without it, on a full disk, others wait a while before they take it for the owner.
  await writeFile(marker, `${process.pid}\n`, { mode: 0o600, flag: 'wx' }).catch(() => undefined)
  await removeRest(place, own.name)
  // For people, and for earlier versions, which knew no other lock and left text there.
  await rm(`${path}.lock`, { force: true }).catch(() => undefined)
  await link(marker, `${path}.lock`).catch(() => undefined)
  let released: Promise<void> | undefined
  async function leave(): Promise<void> {
    await rm(marker, { force: true }).catch(() => undefined)
    await rm(`${path}.lock`, { force: true }).catch(() => undefined)
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

  /** Sockets that were never renamed, and markers without a socket. */
  async function removeRest({ at }: Place, name: string): Promise<void> {
    const names = await readdir(folder).catch((): string[] => [])
    for (const other of names) {
      if (!other.startsWith(prefix) || other.startsWith(name) || !ownName.test(other.slice(prefix.length))) continue
      const socket = other.endsWith(ownerSuffix) ? other.slice(0, -ownerSuffix.length) : other
      const isUsed = names.includes(socket) && (await isAlive(at(socket)).catch(() => true))
      if (!isUsed) await rm(join(folder, other), { force: true }).catch(() => undefined)
    }
  }
}

/** What this module gives names to, behind the prefix. */
const ownName = /^\d+-[0-9a-f]{16}(?:\.new|-owner)?$/

/** Whether there is no file. A folder that cannot be entered for a moment says nothing of what is in it. */
const isGone = (path: string): Promise<boolean> =>
  access(path).then(
    () => false,
    (error: unknown) => hasCode(error, 'ENOENT', 'ENOTDIR')
  )

/** A socket that has a name and no file: one for each folder and name, in this network namespace. */
async function takeAbstract(path: string): Promise<FileLock | Holder> {
  const { dev, ino } = await stat(dirname(path), { bigint: true })
  const name = `\0postern-${hashOf(`${dev} ${ino} ${basename(path)}`).slice(0, 32)}`
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
