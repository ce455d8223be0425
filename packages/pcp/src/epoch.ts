/** Detects from the server's Epoch Time whether it lost its mappings (RFC 6887 §8.5). */
export interface EpochWatch {
  /** Records the epoch of an answer that was just received. Returns whether the server lost its state since the
   * previous one. */
  hasRestarted(epochSeconds: number, nowMs: number): boolean
}

/** Creates the watch for one server (RFC 6887 §8.5). It also reports a loss if the local clock stopped while the
 * machine slept; renewing the mappings is right in that case. */
export function epochWatch(): EpochWatch {
  let last: { readonly epochSeconds: number; readonly atMs: number } | undefined
  return {
    hasRestarted(epochSeconds, nowMs) {
      const before = last
      last = { epochSeconds, atMs: nowMs }
      if (before === undefined) return false
      // Answers may arrive out of order, so a step back of one second is allowed.
      if (epochSeconds + 1 < before.epochSeconds) return true
      const client = (nowMs - before.atMs) / 1000
      const server = epochSeconds - before.epochSeconds
      // Allows 2 s for rounding and transit, and a sixteenth for clocks that run fast or slow.
      return client + 2 < server - server / 16 || server + 2 < client - client / 16
    }
  }
}
