/** What an aborted verb may take to undo its request: 500 ms by the contract, and the way. */
const graceMs = 600
const never = new AbortController()

/** Reports two verbs at once on the one gateway. */
export function watchVerbs(clock, report) {
  const running = new Set()

  const watched =
    (name, verb) =>
    async (...args) => {
      const { signal } = args.at(-1)
      for (const other of running) report(`two verbs at once: ${name} during ${other.name}`)
      const mine = { name }
      running.add(mine)
      // After it was aborted core does not wait for it for ever.
      const aborted = () => void clock.sleep(graceMs, never).then(() => running.delete(mine))
      signal.addEventListener('abort', aborted, { once: true })
      try {
        return watchedLease(await verb(...args))
      } finally {
        signal.removeEventListener('abort', aborted)
        running.delete(mine)
      }
    }

  const watchedLease = (lease) =>
    lease === undefined
      ? lease
      : {
          ...lease,
          renew: watched('renew', (call) => lease.renew(call)),
          release: watched('release', (call) => lease.release(call))
        }

  return {
    watch: (strategy) => (host) => {
      const discovery = strategy(host)
      const known = new Map()
      const told = (finding) => {
        if (finding.kind === 'notice')
          return { ...finding, ...(known.has(finding.about) ? { about: known.get(finding.about) } : {}) }
        if (finding.kind !== 'mapper') return finding
        const mapper = { ...finding, map: watched('map', (request, call) => finding.map(request, call)) }
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
