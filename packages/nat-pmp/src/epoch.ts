/** Tells from the router's Seconds Since Start of Epoch whether it has lost its mappings (RFC 6886 §3.6). */
export interface EpochWatch {
  /** Takes in a value just received. True if the router has started again since the one before. */
  hasRestarted(epochSeconds: number, nowMs: number): boolean
}

export function epochWatch(): EpochWatch {
  let last: { readonly epochSeconds: number; readonly atMs: number } | undefined
  return {
    hasRestarted(epochSeconds, nowMs) {
      const before = last
      last = { epochSeconds, atMs: nowMs }
      if (before === undefined) return false
      // The router's clock may be slow by an eighth, and 2 s are allowed for rounding and for the way.
      const expected = before.epochSeconds + ((nowMs - before.atMs) / 1000) * (7 / 8)
      return epochSeconds < expected - 2
    }
  }
}
