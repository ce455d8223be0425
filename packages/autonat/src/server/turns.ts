import { type CallOptions, createQueue, type Queue } from '@postern/interface'

/** Counts keys. A key is present while it was added more often than removed. */
export interface Tally<Key> {
  add(key: Key): void
  remove(key: Key): void
  has(key: Key): boolean
}

export function createTally<Key>(): Tally<Key> {
  const counts = new Map<Key, number>()
  return {
    add: (key) => void counts.set(key, (counts.get(key) ?? 0) + 1),
    remove(key) {
      const left = (counts.get(key) ?? 0) - 1
      if (left > 0) counts.set(key, left)
      else counts.delete(key)
    },
    has: (key) => counts.has(key)
  }
}

/** Runs one task at a time for each key. Rejects as {@link Queue} does. */
export type Turns = <T>(key: string, call: CallOptions, turn: () => Promise<T>) => Promise<T>

export function createTurns(): Turns {
  const queues = new Map<string, Queue>()
  const waiting = createTally<string>()
  return async (key, call, turn) => {
    const queue = queues.get(key) ?? createQueue()
    queues.set(key, queue)
    waiting.add(key)
    try {
      return await queue(turn, call)
    } finally {
      waiting.remove(key)
      if (!waiting.has(key)) queues.delete(key)
    }
  }
}
