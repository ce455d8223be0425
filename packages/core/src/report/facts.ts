import type { NatError, Network, RelayLimits } from '@postern/interface'
import type { StrategyEntry } from '../discovery/discoveries.js'
import type { WantedEndpoint } from '../discovery/endpoints.js'
import type { CandidateReport } from '../model/report.js'
import type { NatFacts } from '../nat/nat-advice.js'

/** Everything that a verdict follows from. */
export interface Facts {
  readonly network: Network
  readonly wants: readonly WantedEndpoint[]
  readonly entries: readonly StrategyEntry[]
  readonly candidates: readonly CandidateFact[]
  readonly relays: number
  readonly relayLimits: RelayLimits | undefined
  /** What observers report. It affects the advice, and never the verdict. */
  readonly nat: NatFacts
  /** The evidence against claimed external addresses. */
  readonly claimChecks: readonly NatError[]
  readonly firstPassOver: boolean
  /** Whether any strategy looks for witnesses. */
  readonly hasWitnessStrategy: boolean
  readonly witnessNetworks: number
  readonly quorum: number
  /** What is known of the routers behind the next hop; undefined unless a mapping of the next hop needs one. */
  readonly beyond?: {
    /** The address of one that has answered. */
    readonly gateway: string | undefined
    /** Whether one may still answer. */
    readonly isPending: boolean
  }
  /** Whether witnesses and relays have had enough time to be found. */
  readonly partiesOverdue: boolean
}

/** The part of a candidate that a verdict depends on. */
export interface CandidateFact extends Pick<CandidateReport, 'address' | 'type' | 'state' | 'strategy' | 'relay'> {
  /** Whether only the user claims that it leads here. */
  readonly isClaim?: boolean
  /** Whether the user says that the port is forwarded. */
  readonly isForward?: boolean
  /** Only for a mapping on a mapping: the external address of the next hop that it leads to. */
  readonly through?: string
  /** Whether a round of witnesses about it has ended. */
  readonly isTried?: boolean
}
