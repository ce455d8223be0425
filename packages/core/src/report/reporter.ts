import type { RelayLimits } from '@postern/interface'
import { type Candidate, isAddressUnknown } from '../candidates/candidates.js'
import type { Context } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import type { WantedEndpoint } from '../discovery/endpoints.js'
import type { CandidateReport, PeerReport, Report, StrategyReport } from '../model/report.js'
import type { NatFacts } from '../nat/nat-advice.js'
import { describeCandidate, describeGateway, describeStrategy } from './describe.js'
import { type CandidateFact } from './facts.js'
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
      ...(candidate.relay === undefined ? {} : { relay: candidate.relay })
    }))

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
      partiesOverdue: searchedMs !== undefined && clock.monotonicMs() - searchedMs >= policy.unverifiedAfterMs
    })
  }

  function isSearchTime(): boolean {
    const searchedMs = progress.searchedMs()
    return searchedMs !== undefined && clock.monotonicMs() - searchedMs < policy.searchMs
  }
  const isWanted = (): boolean => facts.wants().length > 0
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
        gateway: gateway === undefined ? null : describeGateway(gateway),
        externalAddresses: unrefuted(all),
        nat: facts.nat().nat,
        strategies: discoveries.entries.flatMap((entry) =>
          describeStrategy(entry, network(), isWanted(), isSearchTime())
        ),
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
      const wanted = isWanted()
      return discoveries.entries.flatMap((entry) => {
        const described = describeStrategy(entry, network(), wanted, isSearchTime())
        const text = JSON.stringify(described)
        if (lines.get(entry) === text) return []
        lines.set(entry, text)
        return described
      })
    },
    reset: () => lines.clear()
  }
}
