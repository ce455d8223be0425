/** Returns a function that returns the increase of a number since its last call, as calculated counters of libp2p's
 * metrics need it. */
export function sinceLast(read: () => number): () => number {
  let before = 0
  return () => {
    const now = read()
    const more = now - before
    before = now
    return more
  }
}

/** Does the same as {@link sinceLast} for each number of an object. */
export function eachSinceLast(read: () => Readonly<Record<string, number>>): () => Record<string, number> {
  let before: Readonly<Record<string, number>> = {}
  return () => {
    const now = read()
    const more = Object.fromEntries(Object.entries(now).map(([key, value]) => [key, value - (before[key] ?? 0)]))
    before = { ...now }
    return more
  }
}
