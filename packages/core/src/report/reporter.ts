import type { RelayLimits } from '@postern/interface'
import type { LevelBeyond } from '../beyond/routers-beyond.js'
import { type Candidate, isAddressUnknown } from '../candidates/candidates.js'
import type { Context } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import type { WantedEndpoint } from '../discovery/endpoints.js'
import type { CandidateReport, PeerReport, Report, StrategyReport } from '../model/report.js'
import type { NatFacts } from '../nat/nat-advice.js'
import { describeBeyond, describeCandidate, describeGateway, describeStrategy, mappersOf } from './describe.js'
import { type CandidateFact, type Facts } from './facts.js'
import { type Judgement, judge } from './verdict.js'

/** What a report needs besides the context. */
export interface ReporterFacts {
  readonly wants: () => readonly WantedEndpoint[]
  readonly relays: () => number
  readonly relayLimits: () => RelayLimits | undefined
  readonly witnessNetworks: () => number
  readonly peers: () => readonly PeerReport[] | undefined
  /** What observers together report of the NAT. */
  readonly nat: () => NatFacts
  /** What observers saw and what is no candidate. */
  readonly unconfirmed: () => readonly CandidateReport[]
  /** The searches for routers behind the next hop. */
  readonly levelsBeyond: () => readonly Pick<LevelBeyond, 'nextHop' | 'discoveries' | 'isPending'>[]
}

export interface Reporter {
  report(): Report
  /** Returns the part that `verdict` events depend on. Faster than `report`. */
  summary(): Pick<Report, 'verdict' | 'cause' | 'externalAddresses' | 'nat'>
  /** Returns the lines that differ from the last call. */
  news(): readonly StrategyReport[]
  /** Starts anew for another run: every line counts as changed. */
  reset(): void
}

export function createReporter(context: Context, facts: ReporterFacts): Reporter {
  const { host, policy, discoveries, progress, candidates, claimChecks, network } = context
  const { clock } = host
  const lines = new Map<StrategyEntry, string>()

  /** Ignore candidates that expired during suspend, even if their timers have not fired. */
  function live(): readonly Candidate[] {
    const now = clock.wallMs()
    return candidates.all().filter(({ expiresAt }) => expiresAt === null || expiresAt > now)
  }

  const factsOf = (all: readonly Candidate[]): readonly CandidateFact[] =>
    all.map((candidate) => ({
      address: candidate.address,
      type: candidate.type,
      strategy: candidate.strategy,
      state: candidates.state(candidate),
      isClaim: candidates.isClaim(candidate),
      isForward: candidate.mapper?.isClaim === true,
      isTried: candidate.isTried,
      ...(candidate.through === null ? {} : { through: candidate.through }),
      ...(candidate.relay === undefined ? {} : { relay: candidate.relay })
    }))

  function beyond(): Pick<Facts, 'beyond'> {
    const levels = facts.levelsBeyond()
    if (levels.length === 0) return {}
    const mappers = levels.flatMap(({ discoveries: { entries } }) => entries.flatMap(mappersOf))
    return { beyond: { gateway: mappers[0]?.gateway?.address, isPending: levels.some((level) => level.isPending()) } }
  }

  function conclude(all: readonly CandidateFact[]): Judgement {
    const searchedMs = progress.searchedMs()
    return judge({
      network: network(),
      wants: facts.wants(),
      entries: discoveries.entries,
      candidates: all,
      relays: facts.relays(),
      relayLimits: facts.relayLimits(),
      nat: facts.nat(),
      claimChecks: claimChecks.reasons(),
      firstPassOver: progress.isPassOver(),
      hasWitnessStrategy: discoveries.entries.some(({ kind }) => kind === 'witness'),
      witnessNetworks: facts.witnessNetworks(),
      quorum: policy.quorum,
      ...beyond(),
      partiesOverdue: searchedMs !== undefined && clock.monotonicMs() - searchedMs >= policy.unverifiedAfterMs
    })
  }

  function isSearchTime(): boolean {
    const searchedMs = progress.searchedMs()
    return searchedMs !== undefined && clock.monotonicMs() - searchedMs < policy.searchMs
  }
  const isWanted = (): boolean => facts.wants().length > 0

  /** Returns the lines of each strategy at the next hop, then those at the routers behind it. */
  function describeAll(): readonly (readonly [StrategyEntry, readonly StrategyReport[]])[] {
    const [wanted, searches] = [isWanted(), isSearchTime()]
    const here = discoveries.entries.map(
      (entry) => [entry, describeStrategy(entry, network(), wanted, searches)] as const
    )
    const outer = facts
      .levelsBeyond()
      .flatMap(({ nextHop, discoveries: { entries } }) =>
        entries.map((entry) => [entry, describeBeyond(entry, nextHop, network(), wanted)] as const)
      )
    return [...here, ...outer]
  }

  const unrefuted = (all: readonly CandidateFact[]): readonly string[] =>
    all
      .filter(({ state, address }) => state !== 'refuted' && !isAddressUnknown(address))
      .filter(({ state, type }) => type !== 'observed' || state === 'verified')
      .map(({ address }) => address)

  return {
    report() {
      const known = live()
      const all = factsOf(known)
      const [gateway] = network().gateways
      const peers = facts.peers()
      return {
        schemaVersion: 1,
        ...conclude(all),
        gateway: gateway === undefined ? null : describeGateway(gateway, discoveries.entries),
        externalAddresses: unrefuted(all),
        nat: facts.nat().nat,
        strategies: describeAll().flatMap(([, described]) => described),
        candidates: [
          ...known.map((candidate) => describeCandidate(candidate, candidates.state(candidate))),
          ...facts.unconfirmed()
        ],
        ...(peers === undefined ? {} : { peers })
      }
    },
    summary() {
      const all = factsOf(live())
      const { verdict, cause } = conclude(all)
      return { verdict, cause, externalAddresses: unrefuted(all), nat: facts.nat().nat }
    },
    news() {
      return describeAll().flatMap(([entry, described]) => {
        const text = JSON.stringify(described)
        if (lines.get(entry) === text) return []
        lines.set(entry, text)
        return described
      })
    },
    reset: () => lines.clear()
  }
}
