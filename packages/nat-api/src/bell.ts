import { type CallOptions, type Clock, waitAtMost } from '@postern/interface'

/** Wakes all waits at once. */
export interface Bell {
  ring(): void
  /** Resolves at the next ring, after this time, or when the signal aborts. */
  heard(ms: number, call: CallOptions): Promise<void>
}

/** Creates a bell. */
export function createBell(clock: Clock): Bell {
  let next = Promise.withResolvers<void>()
  return {
    ring() {
      const { resolve } = next
      next = Promise.withResolvers()
      resolve()
    },
    heard: (ms, call) => waitAtMost(clock, ms, next.promise, undefined, call)
  }
}
