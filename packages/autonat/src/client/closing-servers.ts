import type { Connection } from '@libp2p/interface'
import type { Clock } from '@postern/interface'
import { graceMs } from './ask-v2.js'

/** Remembers the peers that close a connection when they are asked over it by AutoNAT v1. Bounded. */
export interface Closers {
  /** Returns whether the peer has closed such a connection. */
  has(id: string): boolean
  /** Runs the question. If it rejects, a close of the connection shortly afterwards is blamed on the question. */
  watch<T>(connection: Connection, question: () => Promise<T>): Promise<T>
  /** Must be called for every connection that closes. */
  closed(connection: Connection): void
}

/** How many peers are remembered before all are forgotten. A forgotten one costs one more connection. */
const maxClosers = 1_024

export function createClosers(clock: Clock): Closers {
  const ids = new Set<string>()
  /** Until this time, a close of the connection is blamed on our request (monotonic ms). */
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
        // The streams end before the connection closes.
        blamedUntilMs.set(connection, clock.monotonicMs() + graceMs)
        throw error
      }
    },
    closed(connection) {
      const isBlamed = clock.monotonicMs() < (blamedUntilMs.get(connection) ?? 0)
      // A connection that was lost, or that this node aborted, has the status 'aborted' or 'reset'.
      if (!isBlamed || connection.status !== 'closed') return
      if (ids.size === maxClosers) ids.clear()
      ids.add(connection.remotePeer.toString())
    }
  }
}
