import { createHook } from 'node:async_hooks'
import type { Endpoint } from '@postern/interface'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { memoryStore } from '../src/index.js'
import { begin, end, scripted, stage } from './support.js'

/** What a run costs, as counts: the same on every machine. */
interface Cost {
  /** Promises that were made: each continuation of a waiting request is one. */
  promises: number
  /** Listeners that were added to abort signals. */
  listeners: number
  /** Entries that were looked at while a table was looked through. */
  lookedThrough: number
}

/** Counts the entries that each iterator of a table yields. */
function countLookedThrough(cost: Cost): void {
  function* counted<T>(entries: Iterable<T>): Generator<T, undefined> {
    for (const each of entries) {
      cost.lookedThrough += 1
      yield each
    }
    return undefined
  }
  for (const method of ['values', 'keys', 'entries', Symbol.iterator] as const) {
    const original: (this: ReadonlyMap<unknown, unknown>) => Iterable<unknown> = Map.prototype[method]
    vi.spyOn(Map.prototype, method as 'values').mockImplementation(function (this: ReadonlyMap<unknown, unknown>) {
      return counted(original.call(this)) as MapIterator<unknown>
    })
  }
}

function countListeners(cost: Cost): void {
  const original = EventTarget.prototype.addEventListener
  vi.spyOn(AbortSignal.prototype, 'addEventListener').mockImplementation(function (this: AbortSignal, ...of) {
    cost.listeners += 1
    return original.apply(this, of)
  })
}

/** Maps so many ports on one router, with two protocols, renews all of them and stops. */
async function costOf(ports: number): Promise<Cost> {
  const cost: Cost = { promises: 0, listeners: 0, lookedThrough: 0 }
  const hook = createHook({
    init(_id, type) {
      if (type === 'PROMISE') cost.promises += 1
    }
  })
  const each = stage(
    (trace, clock) => [
      scripted('pcp', trace, clock, { lifetimeMs: 7_200_000 }).strategy,
      scripted('nat-pmp', trace, clock).strategy
    ],
    { store: memoryStore() }
  )
  for (let index = 0; index < ports; index += 1) {
    const endpoint: Endpoint = { protocol: 'tcp', family: 4, address: '0.0.0.0', port: 10_000 + index }
    each.traversal.addEndpoint(endpoint)
  }
  countLookedThrough(cost)
  countListeners(cost)
  hook.enable()
  await begin(each, 30_000)
  expect(each.told().filter((text) => text.startsWith('mapped'))).toHaveLength(ports)
  await each.clock.advance(5_400_000)
  expect(new Set(each.told().filter((text) => text.startsWith('renewed'))).size).toBe(ports)
  await end(each)
  hook.disable()
  vi.restoreAllMocks()
  return cost
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe('ten times as many leases', () => {
  it('cost about ten times as much', { timeout: 60_000 }, async () => {
    const few = await costOf(200)
    const many = await costOf(2000)
    // What is saved at intervals is saved with all of it, so tables are looked through a little more often than ten times.
    expect(many.promises / few.promises).toBeLessThan(12)
    expect(many.listeners / few.listeners).toBeLessThan(12)
    expect(many.lookedThrough / few.lookedThrough).toBeLessThan(20)
  })
})
