import {
  type Finding,
  type Host,
  isMapper,
  isNatError,
  isNotice,
  type Lease,
  type Mapper,
  type MapRequest,
  type Strategy
} from '@postern/interface'

/** What a router answered to one request for a mapping. */
export interface Answer {
  /** The name of the strategy that asked. */
  readonly strategy: string
  readonly request: MapRequest
  /** What was granted; undefined if the router refused. */
  readonly lease: Lease | undefined
  /** The code of the refusal; undefined if the router granted a mapping. */
  readonly refusal: string | undefined
}

/** What the mappers of a trial and their routers have shown. */
export interface SeenMappers {
  /** The answers to the requests, the latest ones last, {@link maxAnswers} at most. */
  readonly answers: readonly Answer[]
  /** The mappers that can read the mappings of the next hop, by strategy. */
  readonly listers: ReadonlyMap<string, Mapper>
  /** How often the clock of a router showed a restart, by strategy. */
  readonly jumps: ReadonlyMap<string, number>
}

/** The mappers of strategies, and what is seen of them. */
export interface WatchedMappers<H extends Host> {
  /** The same strategies. */
  readonly strategies: readonly Strategy<H>[]
  readonly seen: SeenMappers
}

/** The maximum number of answers that are kept: more than a trial of one port asks for. */
const maxAnswers = 64
/** The strategies that recognize a restart by a clock that the router sends (RFC 6886 §3.6, RFC 6887 §8.5). */
const withClock: ReadonlySet<string> = new Set(['nat-pmp', 'pcp'])

/** Watches what the routers answer to the mappers of strategies. Asks nothing by itself. */
export function watchMappers<H extends Host>(strategies: readonly Strategy<H>[]): WatchedMappers<H> {
  const answers: Answer[] = []
  const listers = new Map<string, Mapper>()
  const jumps = new Map<string, number>()

  const note = (answer: Answer): void => {
    if (answers.length >= maxAnswers) answers.shift()
    answers.push(answer)
  }

  const noting = (strategy: string, request: MapRequest, lease: Lease): Lease => {
    note({ strategy, request, lease, refusal: undefined })
    return { ...lease, renew: async (call) => noting(strategy, request, await lease.renew(call)) }
  }

  const watched = (strategy: string, mapper: Mapper): Mapper => ({
    ...mapper,
    async map(request, call) {
      try {
        return noting(strategy, request, await mapper.map(request, call))
      } catch (error) {
        if (!call.signal.aborted && isNatError(error))
          note({ strategy, request, lease: undefined, refusal: error.code })
        throw error
      }
    }
  })

  function seeing(strategy: string, finding: Finding): Finding {
    if (isNotice(finding)) {
      if (finding.what === 'restarted' && withClock.has(strategy)) jumps.set(strategy, (jumps.get(strategy) ?? 0) + 1)
      return finding
    }
    if (!isMapper(finding)) return finding
    const { list, gateway } = finding
    if (list !== undefined && gateway !== null && gateway.through === undefined) listers.set(strategy, finding)
    return watched(strategy, finding)
  }

  return {
    strategies: strategies.map((strategy) => (host: H) => {
      const discovery = strategy(host)
      return {
        ...discovery,
        discover: (network, found, call) =>
          discovery.discover(network, (each) => found(seeing(discovery.name, each)), call)
      }
    }),
    seen: { answers, listers, jumps }
  }
}
