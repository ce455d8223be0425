/** Tells from the server's Epoch Time whether it has lost its mappings (RFC 6887 §8.5). */
export interface EpochWatch {
  /** Takes in a value just received. True if the server has lost its state since the one before. */
  hasRestarted(epochSeconds: number, nowMs: number): boolean
}

/** RFC 6887 §8.5. A clock of ours that stood still while the machine slept makes it true too, and renewing is right then. */
export function epochWatch(): EpochWatch {
  let last: { readonly epochSeconds: number; readonly atMs: number } | undefined
  return {
    hasRestarted(epochSeconds, nowMs) {
      const before = last
      last = { epochSeconds, atMs: nowMs }
      if (before === undefined) return false
      // Two answers may overtake each other by a second.
      if (epochSeconds + 1 < before.epochSeconds) return true
      const client = (nowMs - before.atMs) / 1000
      const server = epochSeconds - before.epochSeconds
      // 2 s for rounding and for the way, a sixteenth for clocks that run fast or slow.
      return client + 2 < server - server / 16 || server + 2 < client - client / 16
    }
  }
}
