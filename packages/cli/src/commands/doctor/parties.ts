import { type Finding, type Host, isNotice, type Observer, type Strategy } from '@postern/interface'

/** What a trial needs to know of the remote parties of its strategies. */
export interface Parties<H extends Host> {
  /** The same strategies. */
  readonly strategies: readonly Strategy<H>[]
  /** Returns on how many networks there are witnesses and no STUN servers. */
  witnessNetworks(): number
  /** Returns whether a STUN server is being asked. */
  isObserving(): boolean
}

/** Watches what strategies find. */
export function watchParties<H extends Host>(strategies: readonly Strategy<H>[]): Parties<H> {
  const witnesses = new Set<string>()
  const observers = new Set<string>()
  let asked = 0

  const counting = (observer: Observer): Observer => ({
    ...observer,
    async observe(tap, call) {
      asked += 1
      try {
        return await observer.observe(tap, call)
      } finally {
        asked -= 1
      }
    }
  })

  function watched(finding: Finding): Finding {
    if (isNotice(finding)) return finding
    if (finding.kind === 'witness') witnesses.add(finding.party.network)
    if (finding.kind !== 'observer') return finding
    observers.add(finding.party.network)
    return counting(finding)
  }

  return {
    strategies: strategies.map((strategy) => (host: H) => {
      const discovery = strategy(host)
      return {
        ...discovery,
        discover: (network, found, call) => discovery.discover(network, (each) => found(watched(each)), call)
      }
    }),
    witnessNetworks: () => [...witnesses].filter((each) => !observers.has(each)).length,
    isObserving: () => asked > 0
  }
}
