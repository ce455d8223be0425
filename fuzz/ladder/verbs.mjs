/** How long an aborted verb may take to undo its request: 500 ms by the contract, and the travel time. */
const graceMs = 600
/** How long core waits for one strategy before it asks the next one as well. */
const patienceMs = 2000
const never = new AbortController()

/** Reports two concurrent verbs at the one gateway: two of one strategy, or of two while core still waits for the
 * first. */
export function watchVerbs(clock, report) {
  const running = new Set()
  let slowestMs = 0

  const watched =
    (strategy, name, verb) =>
    async (...args) => {
      const { signal } = args.at(-1)
      const startedMs = clock.monotonicMs()
      for (const other of running) {
        const isLate = other.strategy !== strategy && startedMs - other.startedMs >= patienceMs
        if (!isLate) report(`two verbs at once: ${strategy} ${name} during ${other.strategy} ${other.name}`)
      }
      const mine = { strategy, name, startedMs }
      running.add(mine)
      // Core waits only a limited time for an aborted verb.
      const aborted = () => void clock.sleep(graceMs, never).then(() => running.delete(mine))
      signal.addEventListener('abort', aborted, { once: true })
      try {
        return watchedLease(strategy, await verb(...args))
      } finally {
        signal.removeEventListener('abort', aborted)
        running.delete(mine)
        slowestMs = Math.max(slowestMs, clock.monotonicMs() - startedMs)
      }
    }

  const watchedLease = (strategy, lease) =>
    lease === undefined
      ? lease
      : {
          ...lease,
          renew: watched(strategy, 'renew', (call) => lease.renew(call)),
          release: watched(strategy, 'release', (call) => lease.release(call))
        }

  return {
    /** Returns the longest time that a verb has taken, in ms. */
    slowestMs: () => slowestMs,
    watch: (strategy) => (host) => {
      const discovery = strategy(host)
      const known = new Map()
      const told = (finding) => {
        if (finding.kind === 'notice')
          return { ...finding, ...(known.has(finding.about) ? { about: known.get(finding.about) } : {}) }
        if (finding.kind !== 'mapper') return finding
        const mapper = {
          ...finding,
          map: watched(discovery.name, 'map', (request, call) => finding.map(request, call))
        }
        known.set(finding, mapper)
        return mapper
      }
      return {
        ...discovery,
        discover: (network, found, call) => discovery.discover(network, (finding) => found(told(finding)), call)
      }
    }
  }
}
