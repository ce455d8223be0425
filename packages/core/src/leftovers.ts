import { type CallOptions, type Endpoint, type Mapper, printable } from '@postern/interface'
import type { Context } from './context.js'
import type { Memory } from './memory.js'

/** What a gateway was asked for. */
export interface Asked {
  /** As it was before. */
  readonly memory: Memory
  readonly port: number
  readonly lifetimeMs: number
}

/** Something that a gateway may still hold for an endpoint, although nothing here uses it. */
export interface Leftover {
  readonly strategy: string
  readonly mapper: Mapper
  readonly endpoint: Endpoint
  /** Deletes it. */
  readonly remove: (call: CallOptions) => Promise<void>
  /** Remembered until it is deleted. Undefined where the memory of the endpoint is of another mapping. */
  readonly asked: Asked | undefined
}

/** What attempts to map may have left behind for one want. */
export interface Leftovers {
  isEmpty(): boolean
  add(leftover: Leftover): void
  /** Deletes those for which it has not failed twice, each in the turn of its strategy, as long as `until` is false. */
  removeSome(call: CallOptions, until: () => boolean): Promise<void>
  /** Deletes all of them. Where that fails the next run tries again. */
  removeAll(call: CallOptions): Promise<void>
  /** Remembers that a strategy was asked and has not answered. */
  note(strategy: string, asked: Asked): void
  /** It has answered, and made nothing. */
  settle(memory: Memory): void
  /** It has granted what it was asked for. */
  taken(memory: Memory): void
}

/** After so many failures deleting waits for the end. */
const maxFailures = 2

export function createLeftovers({ host, memory: book, desks, claims }: Context): Leftovers {
  const { clock } = host
  const leftovers = new Set<Leftover>()
  /** How often in a row deleting has failed. */
  const failures = new WeakMap<Mapper, number>()
  /** What was remembered before an attempt took long, by key. */
  const before = new Map<string, Memory>()

  function note(strategy: string, { memory, port, lifetimeMs }: Asked): void {
    if (before.has(memory.key)) return
    before.set(memory.key, memory)
    const expiresAt = lifetimeMs === Number.POSITIVE_INFINITY ? null : clock.wallMs() + lifetimeMs
    book.note(memory, { strategy, externalPort: port, expiresAt })
  }

  function settle({ key }: Memory): void {
    const memory = before.get(key)
    if (memory === undefined || [...leftovers].some(({ asked }) => asked?.memory.key === key)) return
    before.delete(key)
    const { strategy, externalPort, expiresAt } = memory
    book.note(memory, { strategy, externalPort, expiresAt })
  }

  async function remove(leftover: Leftover, call: CallOptions, isDue: (leftover: Leftover) => boolean): Promise<void> {
    const { strategy, mapper, asked } = leftover
    try {
      // Where another program of this host has a mapping of the endpoint, this may be the same.
      const isOthers = (await claims.others(leftover.endpoint)).length > 0
      // It may have been granted meanwhile.
      if (!isDue(leftover)) return
      if (!isOthers) await leftover.remove(call)
      leftovers.delete(leftover)
      failures.delete(mapper)
      if (asked !== undefined) settle(asked.memory)
    } catch (error) {
      failures.set(mapper, (failures.get(mapper) ?? 0) + 1)
      host.log.info(`${strategy}: what it may have mapped is not deleted yet: ${printable(String(error))}`)
    }
  }

  async function removeEach(call: CallOptions, isDue: (leftover: Leftover) => boolean): Promise<void> {
    for (const leftover of leftovers) {
      await desks
        .of(leftover.mapper.gateway)
        .serve(leftover.strategy, async () => {
          if (leftovers.has(leftover) && isDue(leftover)) await remove(leftover, call, isDue)
        })
        .catch(() => undefined)
    }
  }

  return {
    note,
    settle,
    taken: ({ key }) => before.delete(key),
    isEmpty: () => leftovers.size === 0,
    add(leftover) {
      const { strategy, mapper, asked } = leftover
      if (asked === undefined) return void leftovers.add(leftover)
      note(strategy, asked)
      // Each try of the same mapper may leave the same.
      for (const each of leftovers) if (each.mapper === mapper && each.asked !== undefined) leftovers.delete(each)
      leftovers.add(leftover)
    },
    removeSome: (call, until) =>
      removeEach(call, ({ mapper }) => !until() && (failures.get(mapper) ?? 0) < maxFailures),
    removeAll: (call) => removeEach(call, () => true)
  }
}
