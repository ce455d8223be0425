import type { Behaviour, Protocol } from '@postern/interface'

/** The report's JSON, version 1. `docs/report.schema.json` is this type as a JSON schema. Times are ISO 8601. */
export interface Report {
  readonly schemaVersion: 1
  readonly verdict: Verdict
  readonly cause: Cause | null
  /** What to do next, a sentence each. */
  readonly advice: readonly string[]
  /** The default route with the lowest metric. */
  readonly gateway: GatewayReport | null
  /** Live and unrefuted external addresses, as multiaddr text. */
  readonly externalAddresses: readonly string[]
  readonly nat: NatReport | null
  /** In rank order. */
  readonly strategies: readonly StrategyReport[]
  readonly candidates: readonly CandidateReport[]
  /** Peers that were connected through a relay, the latest news last, 256 at most. Only where a strategy upgrades
   * connections. */
  readonly peers?: readonly PeerReport[]
}

export type Verdict = 'public' | 'relayed' | 'private' | 'unknown'

export type Cause =
  | 'no-route'
  | 'no-mapping-service'
  | 'gateway-refused'
  | 'double-nat'
  | 'carrier-nat'
  | 'reserved-external-address'
  | 'mapping-not-honoured'
  | 'blocked'
  | 'unverified'
  | 'vpn-default-route'
  | 'container-bridge'
  | 'loopback-only'

export interface GatewayReport {
  readonly address: string
  readonly interface: string
  readonly description: string | null
}

export interface NatReport {
  readonly mapping: Behaviour | null
  readonly filtering: Behaviour | null
  readonly hairpin: 'works' | 'fails' | 'unknown'
}

export interface StrategyReport {
  readonly name: string
  /** The kind of ability that was found; null as long as none was. */
  readonly kind: 'mapper' | 'relay' | 'witness' | 'observer' | 'puncher' | null
  /** 0 is tried first. */
  readonly rank: number
  readonly state: StrategyState
  /** From the start to the first outcome, in ms; null while there is none. */
  readonly tookMs: number | null
  readonly reason: { readonly code: string; readonly message: string } | null
  /** Only while what is known of it may change by waiting: for an answer to its search, or to its request for a mapping. A
   * router may take 10 s for one answer. */
  readonly waitingFor?: 'search' | 'grant'
}

/** `active`: something that lives was granted by it, or observers of it have told what they see. `standby`: found, and another one serves. `available`: found, and
 * nothing asked of it yet. `unavailable`: not here. `failed`: asked, and failed. `skipped`: not to be used here. */
export type StrategyState = 'active' | 'standby' | 'available' | 'unavailable' | 'failed' | 'skipped'

export interface CandidateReport {
  readonly address: string
  readonly type: 'manual' | 'mapped' | 'observed' | 'relayed' | 'local'
  readonly strategy: string | null
  readonly endpoint: { readonly protocol: Protocol; readonly address: string; readonly port: number } | null
  readonly state: CandidateState
  readonly expiresAt: string | null
  readonly evidence: readonly EvidenceReport[]
}

/** `claimed`: somebody says so. `consistent`: globally routable, and nothing known speaks against it. `verified`: a
 * quorum of witnesses reached it. `refuted`: a quorum could not. */
export type CandidateState = 'claimed' | 'consistent' | 'verified' | 'refuted'

export interface EvidenceReport {
  readonly party: string
  readonly network: string
  readonly outcome: 'reachable' | 'unreachable' | 'inconclusive'
  readonly at: string
}

/** How far a peer is on its way from a relayed connection to a direct one. */
export interface PeerReport {
  readonly peer: string
  readonly state: 'relayed' | 'punching' | 'direct' | 'failed'
  readonly strategy: string
  /** Of the direct connection, its other end. */
  readonly address: string | null
  /** Why there is no direct one: `symmetric-both`, `refused`, `timeout` and others, as the strategy names it. */
  readonly cause: string | null
  readonly at: string
}
