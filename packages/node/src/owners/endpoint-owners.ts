import { resolve } from 'node:path'
import type { EndpointClaim, EndpointOwners, Owner } from '@postern/core'
import { type Endpoint, natError } from '@postern/interface'
import { explainFileError, stateFile } from '../files/files.js'
import { type OtherRecords, type OwnerFolder, openOwnerFolder } from './owner-folder.js'
import { isSameEndpoint, type OwnedEndpoint } from './owner-record.js'
import { scriptName } from './program-name.js'

/** The options of {@link endpointOwners}. */
export interface EndpointOwnersOptions {
  /** The folder that all programs of this user share.
   * @default `$XDG_STATE_HOME/postern/endpoints`, with `~/.local/state` if that is not set */
  readonly folder?: string
  /** The name of this program for other programs.
   * @default the name of its main script */
  readonly program?: string
  /** Called once if the folder cannot be used; other processes are then unknown.
   * @default `process.emitWarning` */
  readonly warn?: (error: Error) => void
}

/** An owner in this process. */
interface Local extends Pick<Endpoint, 'protocol' | 'address' | 'port'> {
  readonly keys: Record<string, string>
  /** The gateways for which the key is agreed. A router may turn out not to map. */
  readonly settled: Set<string>
  addresses: readonly string[]
  readonly changed: () => void
}

/** How many endpoints of ended processes are remembered with their keys, which a later exposure of the same port uses
 * again. The oldest are forgotten. */
const maxAbandoned = 64
/** How many names of records are remembered. A forgotten one that is removed later causes one renewal too many. */
const maxReadRecords = 1024
/** The time limit for the disk, in ms. After it, the known state is used without the disk. */
const answerMs = 1500
/** How often the records of other owners are checked, in ms. A process that was killed cannot announce its end, and its
 * mapping may expire soon. */
const pollMs = 10_000

const nothing: OtherRecords = { live: new Map(), left: [], names: [] }

/** State of the process, so that all exposures know each other even if no file can be written. */
const registries = new Map<string, EndpointOwners>()

/**
 * Returns the registry of the programs of this user that map the same endpoint. They share one mapping and request it
 * with one key, and the last one to leave deletes it. Exposures of one process always know each other. Processes know
 * each other through files, which are valid while the process lives. If these cannot be written, `warn` gets a
 * `STORE_UNUSABLE` error once.
 */
export function endpointOwners(options: EndpointOwnersOptions = {}): EndpointOwners {
  const { program = scriptName(), warn = (error) => process.emitWarning(error) } = options
  const { folder = stateFile('endpoints') } = options
  const path = folder === undefined ? '' : resolve(folder)
  const registry = registries.get(path) ?? createRegistry(path, program, warn)
  registries.set(path, registry)
  return registry
}

function createRegistry(path: string, program: string, warn: (error: Error) => void): EndpointOwners {
  const locals = new Set<Local>()
  let folder: OwnerFolder | undefined
  let known = nothing
  let isTold = false
  let isAway = false
  /** Whether a write was skipped because the disk did not answer. */
  let isStale = false
  /** The endpoints of processes that ended without deleting them, with their keys. */
  const abandoned: OwnedEndpoint[] = []
  /** The names of the records that have changed since the records were last read. */
  const changedRecords = new Set<string>()
  /** The names of records that have been read. */
  const readRecords = new Set<string>()
  let hears = false
  let polling: ReturnType<typeof setInterval> | undefined
  /** Only one disk operation at a time, so that a hanging disk blocks one thread and not all. */
  let turn: Promise<unknown> = Promise.resolve()

  function tell(cause: unknown): void {
    if (isTold) return
    isTold = true
    const why = explainFileError(cause)
    const message = `${path} cannot be used, ${why}: other programs of this host that map the same port are not known`
    try {
      warn(natError('STORE_UNUSABLE', message, { cause }))
    } catch {
      // An exception in the caller's `warn` says nothing about the disk.
    }
  }

  /** Resolves to the result of `work`; undefined if the disk fails or does not answer in time. */
  async function onDisk<T>(work: (folder: OwnerFolder) => Promise<T>): Promise<T | undefined> {
    if (path === '') return undefined
    if (isAway) {
      isStale = true
      return undefined
    }
    const step = async (): Promise<T | undefined> => {
      folder ??= openOwnerFolder(path, program)
      const open = folder
      try {
        return await open.alone(() => work(open))
      } catch (error) {
        tell(error)
        return undefined
      }
    }
    const next = turn.then(step)
    turn = next
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((done) => {
      timer = setTimeout(() => {
        isAway = true
        void next.then(isBack)
        done(undefined)
      }, answerMs)
    })
    return Promise.race([next, late]).finally(() => clearTimeout(timer))
  }

  /** Writes what was skipped while the disk did not answer. */
  function isBack(): void {
    isAway = false
    if (!isStale) return
    isStale = false
    void onDisk(locals.size > 0 ? publish : shut)
  }

  async function shut(open: OwnerFolder): Promise<void> {
    clearInterval(polling)
    polling = undefined
    known = nothing
    changedRecords.clear()
    readRecords.clear()
    folder = undefined
    await open.close()
  }

  /** Reads the records of other processes. Notifies the owners in this process of those that left, and remembers the
   * endpoints of dead ones. */
  async function look(open: OwnerFolder): Promise<void> {
    const before = known
    const changed = [...changedRecords]
    changedRecords.clear()
    known = await open.others()
    const now = known
    for (const name of now.names) {
      readRecords.delete(name)
      readRecords.add(name)
    }
    // A process came and left before its record was read: which endpoints it had is not known.
    const isUnread = changed.some((record) => !readRecords.has(record))
    if (isUnread) for (const local of locals) local.changed()
    for (const name of [...readRecords].slice(0, -maxReadRecords)) readRecords.delete(name)
    for (const [id, { endpoints }] of before.live) {
      const still = now.live.get(id)?.endpoints ?? []
      const gone = endpoints.filter((each) => !still.some((other) => isSameEndpoint(each, other)))
      for (const local of locals) if (gone.some((each) => isSameEndpoint(each, local))) local.changed()
    }
    abandoned.push(...now.left.flatMap(({ endpoints }) => endpoints))
    abandoned.splice(0, Math.max(0, abandoned.length - maxAbandoned))
  }

  function watch(open: OwnerFolder): void {
    if (polling !== undefined) return
    hears = open.watch((record) => {
      if (record !== undefined) changedRecords.add(record)
      void onDisk(look)
    })
    polling = setInterval(() => {
      const isShared = [...locals].some((local) => elsewhere(local).length > 0)
      if (isShared || !hears) void onDisk(look)
    }, pollMs)
    polling.unref()
  }

  const publish = (open: OwnerFolder): Promise<void> =>
    open.publish(
      [...locals].map(({ protocol, address, port, keys, addresses }) => ({ protocol, address, port, keys, addresses }))
    )

  const elsewhere = (about: Omit<OwnedEndpoint, 'keys' | 'addresses'>): readonly (OwnedEndpoint & Owner)[] =>
    [...known.live.values()].flatMap(({ pid, program: name, endpoints }) =>
      endpoints.filter((each) => isSameEndpoint(each, about)).map((each) => ({ ...each, pid, program: name }))
    )
  const here = (about: Omit<OwnedEndpoint, 'keys' | 'addresses'>, but?: Local): readonly (OwnedEndpoint & Owner)[] =>
    [...locals]
      .filter((each) => each !== but && isSameEndpoint(each, about))
      .map((each) => ({ ...each, pid: process.pid, program }))

  /** Returns the processes that hold the endpoint, each once. */
  function holders(about: Local | Endpoint, but: Local | undefined, addresses?: readonly string[]): readonly Owner[] {
    const holding = [...here(about, but), ...elsewhere(about)].filter((each) =>
      addresses === undefined ? each.addresses.length > 0 : each.addresses.some((one) => addresses.includes(one))
    )
    return [...new Map(holding.map(({ pid, program: name }) => [`${pid} ${name}`, { pid, program: name }])).values()]
  }

  function join({ protocol, address, port }: Endpoint, changed: () => void): EndpointClaim {
    const local: Local = { protocol, address, port, keys: {}, settled: new Set(), addresses: [], changed }
    locals.add(local)
    let ended: Promise<void> | undefined

    async function leaveAll(): Promise<void> {
      locals.delete(local)
      for (const other of locals) if (isSameEndpoint(other, local)) other.changed()
      await onDisk((open) => (locals.size > 0 ? publish(open) : shut(open)))
    }

    return {
      async agree(gateway, key) {
        const common = (owned: readonly Pick<OwnedEndpoint, 'keys'>[]): string | undefined =>
          owned.map(({ keys }) => keys[gateway]).find((each) => each !== undefined)
        const same = (): readonly Local[] => [...locals].filter((each) => isSameEndpoint(each, local))
        // Set before the first await, so that another exposure of this process finds it.
        local.keys[gateway] ??= common(here(local, local)) ?? key
        await onDisk(async (open) => {
          await look(open)
          // A settled key is in use, or was agreed for a request that may follow. A key that is only proposed here gives way to those of others.
          const settled = common(same().filter((each) => each.settled.has(gateway)))
          const left = abandoned.filter((each) => isSameEndpoint(each, local))
          const agreed = settled ?? common(elsewhere(local)) ?? common(left) ?? common(same()) ?? key
          for (const each of same()) {
            each.keys[gateway] = agreed
            each.settled.add(gateway)
          }
          await publish(open)
          watch(open)
        })
        return local.keys[gateway] ?? key
      },
      holds(addresses) {
        local.addresses = addresses
        if (locals.has(local)) void onDisk(publish)
      },
      async others(addresses) {
        await onDisk(look)
        return holders(local, local, addresses)
      },
      async leave(addresses) {
        local.addresses = []
        // Publish first, then read: if two owners leave at the same time, at least one sees that it is the last.
        await onDisk(async (open) => {
          await publish(open)
          await look(open)
        })
        return holders(local, local, addresses)
      },
      end: () => (ended ??= leaveAll())
    }
  }

  return {
    join,
    async holders(endpoint) {
      await onDisk(look)
      return holders(endpoint, undefined)
    }
  }
}
