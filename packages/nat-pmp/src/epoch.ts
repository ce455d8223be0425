/** Detects from the router's Seconds Since Start of Epoch whether it lost its mappings (RFC 6886 §3.6). */
export interface EpochWatch {
  /** Records a value that was just received. Returns whether the router has restarted since the previous one. */
  hasRestarted(epochSeconds: number, nowMs: number): boolean
}

/** Creates the watch for one router. */
export function epochWatch(): EpochWatch {
  let last: { readonly epochSeconds: number; readonly atMs: number } | undefined
  return {
    hasRestarted(epochSeconds, nowMs) {
      const before = last
      last = { epochSeconds, atMs: nowMs }
      if (before === undefined) return false
      // The clock of the router may be slow by an eighth; 2 s are allowed for rounding and transit.
      const expected = before.epochSeconds + ((nowMs - before.atMs) / 1000) * (7 / 8)
      return epochSeconds < expected - 2
    }
  }
}
