import { type CallOptions, type Endpoint, type Mapper, printable } from '@postern/interface'
import type { Context } from '../context.js'
import type { Memory } from '../memory/store.js'

/** What a gateway was asked for. */
export interface Asked {
  /** The memory as it was before the request. */
  readonly memory: Memory
  readonly port: number
  readonly lifetimeMs: number
}

/** A mapping that a gateway may still hold for an endpoint although this process does not use it. */
export interface UncertainMapping {
  readonly strategy: string
  readonly mapper: Mapper
  readonly endpoint: Endpoint
  /** Deletes it. */
  readonly remove: (call: CallOptions) => Promise<void>
  /** The request, remembered until the mapping is deleted. Undefined if the endpoint's memory is of another mapping. */
  readonly asked: Asked | undefined
}

/** What attempts to map one wanted endpoint may have left in routers. */
export interface UncertainMappings {
  isEmpty(): boolean
  add(uncertain: UncertainMapping): void
  /** Deletes those that have not failed twice, each in the strategy's turn, while `until` returns false. */
  removeSome(call: CallOptions, until: () => boolean): Promise<void>
  /** Deletes all of them. The next run tries again where that fails. */
  removeAll(call: CallOptions): Promise<void>
  /** Remembers that a strategy was asked and has not answered. */
  note(strategy: string, asked: Asked): void
  /** Restores the memory: the request made no mapping. */
  settle(memory: Memory): void
  /** Keeps the memory: the request was granted. */
  taken(memory: Memory): void
}

/** After this many failures deletion waits for the end. */
const maxFailures = 2

export function createUncertainMappings({ host, memory: memories, queues, mappingOwners }: Context): UncertainMappings {
  const { clock } = host
  const uncertainMappings = new Set<UncertainMapping>()
  /** How often in a row deletion at a mapper has failed. */
  const failures = new WeakMap<Mapper, number>()
  /** The memories as they were before a slow request, by key. */
  const before = new Map<string, Memory>()

  function note(strategy: string, { memory, port, lifetimeMs }: Asked): void {
    if (before.has(memory.key)) return
    before.set(memory.key, memory)
    const expiresAt = lifetimeMs === Number.POSITIVE_INFINITY ? null : clock.wallMs() + lifetimeMs
    memories.note(memory, { strategy, externalPort: port, expiresAt })
  }

  function settle({ key }: Memory): void {
    const memory = before.get(key)
    if (memory === undefined || [...uncertainMappings].some(({ asked }) => asked?.memory.key === key)) return
    before.delete(key)
    const { strategy, externalPort, expiresAt } = memory
    memories.note(memory, { strategy, externalPort, expiresAt })
  }

  async function remove(
    uncertain: UncertainMapping,
    call: CallOptions,
    isDue: (uncertain: UncertainMapping) => boolean
  ): Promise<void> {
    const { strategy, mapper, asked } = uncertain
    try {
      // If another program of this host maps the endpoint, this may be its mapping.
      const isOthers = (await mappingOwners.others(uncertain.endpoint)).length > 0
      // The endpoint may have been mapped meanwhile.
      if (!isDue(uncertain)) return
      if (!isOthers) await uncertain.remove(call)
      uncertainMappings.delete(uncertain)
      failures.delete(mapper)
      if (asked !== undefined) settle(asked.memory)
    } catch (error) {
      failures.set(mapper, (failures.get(mapper) ?? 0) + 1)
      host.log.info(`${strategy}: what it may have mapped is not deleted yet: ${printable(String(error))}`)
    }
  }

  async function removeEach(call: CallOptions, isDue: (uncertain: UncertainMapping) => boolean): Promise<void> {
    for (const uncertain of uncertainMappings) {
      await queues
        .of(uncertain.mapper.gateway)
        .run(uncertain.strategy, async () => {
          if (uncertainMappings.has(uncertain) && isDue(uncertain)) await remove(uncertain, call, isDue)
        })
        .catch(() => undefined)
    }
  }

  return {
    note,
    settle,
    taken: ({ key }) => before.delete(key),
    isEmpty: () => uncertainMappings.size === 0,
    add(uncertain) {
      const { strategy, mapper, asked } = uncertain
      if (asked === undefined) return void uncertainMappings.add(uncertain)
      note(strategy, asked)
      // Each try of one mapper may leave the same mapping.
      for (const each of uncertainMappings)
        if (each.mapper === mapper && each.asked !== undefined) uncertainMappings.delete(each)
      uncertainMappings.add(uncertain)
    },
    removeSome: (call, until) =>
      removeEach(call, ({ mapper }) => !until() && (failures.get(mapper) ?? 0) < maxFailures),
    removeAll: (call) => removeEach(call, () => true)
  }
}
