import { resolve } from 'node:path'
import type { EndpointClaim, EndpointOwners, Owner } from '@postern/core'
import { type Endpoint, natError } from '@postern/interface'
import { explainFileError, stateFile } from './files.js'
import { type OtherRecords, openOwnerFolder, type OwnerFolder } from './owner-folder.js'
import { isSameEndpoint, type OwnedEndpoint } from './owner-record.js'
import { scriptName } from './program-name.js'

export interface EndpointOwnersOptions {
  /** The folder that all programs of this user share.
   * @default `$XDG_STATE_HOME/postern/endpoints`, with `~/.local/state` where that is not set */
  readonly folder?: string
  /** What other programs call this one.
   * @default the name of its main script */
  readonly program?: string
  /** Told once when the folder cannot be used: other processes are not known then.
   * @default `process.emitWarning` */
  readonly warn?: (error: Error) => void
}

/** An owner in this process. */
interface Local extends Pick<Endpoint, 'protocol' | 'address' | 'port'> {
  readonly keys: Record<string, string>
  addresses: readonly string[]
  readonly changed: () => void
}

/** A disk that takes longer, in ms, is away: what is known without it has to do. */
const answerMs = 1500
/** A process that was killed says nothing, and the mapping that it renewed last may be a short one: looked for so often, in ms,
 * while there are other owners. */
const pollMs = 10_000

const nothing: OtherRecords = { live: new Map(), left: [] }

/** State of the process: all exposures know each other, also where no file can be written. */
const registries = new Map<string, EndpointOwners>()

/**
 * The programs of this user that want the same endpoint mapped. They share one mapping, ask for it with one key, and the last
 * one that leaves deletes it. Exposures of one process know each other in any case; processes tell each other by files, which
 * count as long as the process lives. Where these cannot be written, it is told as `STORE_UNUSABLE`, once.
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
  let hears = false
  let polling: ReturnType<typeof setInterval> | undefined
  /** One call of the disk at a time, so that a disk that is away blocks one thread and not all. */
  let turn: Promise<unknown> = Promise.resolve()

  function tell(cause: unknown): void {
    if (isTold) return
    isTold = true
    const why = explainFileError(cause)
    const message = `${path} cannot be used, ${why}: other programs of this host that map the same port are not known`
    warn(natError('STORE_UNUSABLE', message, { cause }))
  }

  /** What the work gives; undefined where the disk fails or does not answer in time. */
  async function onDisk<T>(work: (folder: OwnerFolder) => Promise<T>): Promise<T | undefined> {
    if (path === '' || isAway) return undefined
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
        void next.then(() => (isAway = false))
        done(undefined)
      }, answerMs)
    })
    return Promise.race([next, late]).finally(() => clearTimeout(timer))
  }

  /** Reads what the others say, and tells the owners here of those that have left. Gives what dead ones have left. */
  async function look(open: OwnerFolder): Promise<OtherRecords['left']> {
    const before = known
    known = await open.others()
    const now = known
    for (const [id, { endpoints }] of before.live) {
      const still = now.live.get(id)?.endpoints ?? []
      const gone = endpoints.filter((each) => !still.some((other) => isSameEndpoint(each, other)))
      for (const local of locals) if (gone.some((each) => isSameEndpoint(each, local))) local.changed()
    }
    return now.left
  }

  function watch(open: OwnerFolder): void {
    if (polling !== undefined) return
    hears = open.watch(() => void onDisk(look))
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

  /** Each process once. */
  function holders(about: Local | Endpoint, but: Local | undefined, addresses?: readonly string[]): readonly Owner[] {
    const holding = [...here(about, but), ...elsewhere(about)].filter((each) =>
      addresses === undefined ? each.addresses.length > 0 : each.addresses.some((one) => addresses.includes(one))
    )
    return [...new Map(holding.map(({ pid, program: name }) => [`${pid} ${name}`, { pid, program: name }])).values()]
  }

  function join({ protocol, address, port }: Endpoint, changed: () => void): EndpointClaim {
    const local: Local = { protocol, address, port, keys: {}, addresses: [], changed }
    locals.add(local)
    let ended: Promise<void> | undefined

    async function leaveAll(): Promise<void> {
      locals.delete(local)
      for (const other of locals) if (isSameEndpoint(other, local)) other.changed()
      await onDisk(async (open) => {
        if (locals.size > 0) return publish(open)
        clearInterval(polling)
        polling = undefined
        known = nothing
        folder = undefined
        await open.close()
      })
    }

    return {
      async agree(gateway, key) {
        const common = (owned: readonly Pick<OwnedEndpoint, 'keys'>[]): string | undefined =>
          owned.map(({ keys }) => keys[gateway]).find((each) => each !== undefined)
        let agreed = local.keys[gateway] ?? common(here(local, local))
        // Known before the first wait, so that another exposure of this process finds it.
        local.keys[gateway] = agreed ?? key
        await onDisk(async (open) => {
          const left = (await look(open)).flatMap(({ endpoints }) =>
            endpoints.filter((each) => isSameEndpoint(each, local))
          )
          agreed ??= common(elsewhere(local)) ?? common(left)
          for (const each of locals)
            if (agreed !== undefined && isSameEndpoint(each, local)) each.keys[gateway] = agreed
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
        // First told, then looked: of two that leave together at least one sees that it is the last.
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
