import type { Connection } from '@libp2p/interface'
import type { Clock } from '@postern/interface'
import { graceMs } from './ask.js'

/** Peers that closed a connection because they were asked over it, by version 1. Bounded. */
export interface Closers {
  has(id: string): boolean
  /** Asks. Rejects as the question does, which is where no answer came. */
  watch<T>(connection: Connection, question: () => Promise<T>): Promise<T>
  /** Call it for every connection that closes. */
  closed(connection: Connection): void
}

const mostClosers = 1_024

export function createClosers(clock: Clock): Closers {
  const ids = new Set<string>()
  /** Until when, by the monotonic clock, the end of a connection is put down to the question. */
  const blamedUntilMs = new WeakMap<Connection, number>()

  return {
    has: (id) => ids.has(id),
    async watch(connection, question) {
      blamedUntilMs.set(connection, Number.POSITIVE_INFINITY)
      try {
        const answer = await question()
        blamedUntilMs.delete(connection)
        return answer
      } catch (error) {
        // The streams end before the connection does.
        blamedUntilMs.set(connection, clock.monotonicMs() + graceMs)
        throw error
      }
    },
    closed(connection) {
      const isBlamed = clock.monotonicMs() < (blamedUntilMs.get(connection) ?? 0)
      // One that broke or was given up here is 'aborted' or 'reset'.
      if (!isBlamed || connection.status !== 'closed') return
      if (ids.size === mostClosers) ids.clear()
      ids.add(connection.remotePeer.toString())
    }
  }
}
