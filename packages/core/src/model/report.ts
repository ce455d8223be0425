import type { Behaviour, GatewayDevice, Protocol } from '@postern/interface'
import type { NeighbourhoodReport } from './neighbourhood.js'

/** The report's JSON, version 1. `docs/reference/report.schema.json` is this type as a JSON schema. Times are ISO 8601. */
export interface Report {
  /** The version of the report's format. */
  readonly schemaVersion: 1
  /** How reachable the host is. */
  readonly verdict: Verdict
  /** Why it is not `public`, or not proven to be; null where there is no reason or none is known yet. */
  readonly cause: Cause | null
  /** What to do next, one sentence each. */
  readonly advice: readonly string[]
  /** The default route with the lowest metric. */
  readonly gateway: GatewayReport | null
  /** Live external addresses that are not refuted, as multiaddr text. */
  readonly externalAddresses: readonly string[]
  /** What observers report of the NAT; null until one has answered. */
  readonly nat: NatReport | null
  /** In rank order. */
  readonly strategies: readonly StrategyReport[]
  /** Every external address that is known, with the evidence for it. */
  readonly candidates: readonly CandidateReport[]
  /** Peers that were connected through a relay, the latest change last, 256 at most. Only if a strategy upgrades
   * connections. */
  readonly peers?: readonly PeerReport[]
  /** The verdict about each transport protocol. Only of `postern doctor`, if it tried both. */
  readonly protocols?: ProtocolsReport
  /** What doctor found out about the network around this machine. Only of `postern doctor`. */
  readonly neighbourhood?: NeighbourhoodReport
}

/** How reachable the host is over each transport protocol. */
export interface ProtocolsReport {
  /** Over TCP, which web servers need, for example. */
  readonly tcp: Verdict
  /** Over UDP, which QUIC and many games need. */
  readonly udp: Verdict
}

/** How reachable the host is: `public` directly, `relayed` through a relay only, `private` not from outside; `unknown`
 * if that cannot be told yet. */
export type Verdict = 'public' | 'relayed' | 'private' | 'unknown'

/** Why the host is not reachable directly, or is not known to be. `docs/guides/concepts.md` explains each cause. */
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

/** The default route. */
export interface GatewayReport {
  /** The next hop; `0.0.0.0` or `::` for a point-to-point link. */
  readonly address: string
  /** The name of the network interface. */
  readonly interface: string
  /** What the route leads to, if its name or address shows that: a VPN, or a container bridge. */
  readonly description: string | null
  /** The router as it describes itself; absent where it does not. */
  readonly device?: GatewayDevice
}

/** How the NAT behaves, in the terms of RFC 4787. Null and `unknown` stand for what no observer could find out. */
export interface NatReport {
  /** What the external port depends on (RFC 4787 §4.1). */
  readonly mapping: Behaviour | null
  /** Which datagrams are let in (RFC 4787 §5). */
  readonly filtering: Behaviour | null
  /** Whether this host reaches itself by its external address (RFC 4787 §6). */
  readonly hairpin: 'works' | 'fails' | 'unknown'
}

/** One line of the report: a strategy, or a router that it found and that is not used. */
export interface StrategyReport {
  /** The name of the strategy, `nat-pmp` for example. */
  readonly name: string
  /** The kind of ability that it looks for or has found; null while neither is known. */
  readonly kind: 'mapper' | 'relay' | 'forwarder' | 'witness' | 'observer' | 'puncher' | null
  /** 0 is tried first. */
  readonly rank: number
  /** What the strategy does now. */
  readonly state: StrategyState
  /** From the start of the search to the first outcome, in ms; null before that. */
  readonly tookMs: number | null
  /** Why the strategy is in this state, or what is wrong with what it granted. `code` is a code of the `NatError`
   * registry. */
  readonly reason: { readonly code: string; readonly message: string } | null
  /** Only while the state may still change: the strategy waits for an answer to its search, or to its request for a
   * mapping. A router may take 10 s for one answer. */
  readonly waitingFor?: 'search' | 'grant'
  /** Only on a line about a router behind the next hop: the address of that router. */
  readonly gateway?: string
  /** Only on a line about a router behind the next hop: the address of the next hop. */
  readonly through?: string
}

/** `active`: a lease of it is alive, or its observers have answered. `standby`: found, and another one serves.
 * `available`: found, and nothing was asked of it yet. `unavailable`: nothing found. `failed`: asked, and failed.
 * `skipped`: found on a router that is not used. */
export type StrategyState = 'active' | 'standby' | 'available' | 'unavailable' | 'failed' | 'skipped'

/** An external address that may lead to an endpoint. */
export interface CandidateReport {
  /** The address as multiaddr text. */
  readonly address: string
  /** Where it comes from: a forward without a router's help, a mapping, an observer, a relay, or an address of this
   * host. */
  readonly type: 'manual' | 'mapped' | 'observed' | 'relayed' | 'local'
  /** The name of the strategy that reported it; null for an address of this host. */
  readonly strategy: string | null
  /** The listening socket that it leads to; null for an address at a libp2p relay. */
  readonly endpoint: { readonly protocol: Protocol; readonly address: string; readonly port: number } | null
  /** What is known of it. */
  readonly state: CandidateState
  /** ISO 8601; null for an address that does not expire. */
  readonly expiresAt: string | null
  /** What witnesses found in the last round. */
  readonly evidence: readonly EvidenceReport[]
  /** Only for a mapping on a mapping: the external address of the next hop, as multiaddr text. What comes to `address`
   * goes there, and from there to `endpoint`. */
  readonly through?: string
  /** Only of a relayed address: the relay or forwarder that it leads through. */
  readonly relay?: RelayReport
}

/** The relay or forwarder that a relayed address leads through, and what it does with a connection. */
export interface RelayReport {
  /** The id of the party. */
  readonly party: string
  /** Its network: the /16 (IPv4) or /32 (IPv6) prefix. */
  readonly network: string
  /** How long a connection may last, in seconds; without it there is no limit. */
  readonly maxSeconds?: number
  /** How many bytes a connection may carry in each direction; without it there is no limit. */
  readonly maxBytes?: number
  /** Only of a forwarder: whether the way between it and this host is encrypted. */
  readonly isEncrypted?: boolean
  /** Only of a forwarder: whether it tells the addresses of clients. */
  readonly tellsClients?: boolean
}

/** `claimed`: only a router, an observer or the user says so. `consistent`: globally routable, and nothing known
 * contradicts it. `verified`: a quorum of witnesses reached it. `refuted`: a quorum could not reach it. */
export type CandidateState = 'claimed' | 'consistent' | 'verified' | 'refuted'

/** What one witness found. */
export interface EvidenceReport {
  /** The id of the witness. */
  readonly party: string
  /** Its network: the /16 (IPv4) or /32 (IPv6) prefix. */
  readonly network: string
  /** `inconclusive`: the witness could not tell. */
  readonly outcome: 'reachable' | 'unreachable' | 'inconclusive'
  /** When, in ISO 8601. */
  readonly at: string
}

/** How far a peer is on the way from a relayed connection to a direct one. */
export interface PeerReport {
  /** The id of the peer. */
  readonly peer: string
  /** `relayed`: connected through a relay. `punching`: the two sides agree on how to meet. */
  readonly state: 'relayed' | 'punching' | 'direct' | 'failed'
  /** The name of the strategy that upgrades the connection. */
  readonly strategy: string
  /** The peer's end of the direct connection; null while there is none. */
  readonly address: string | null
  /** Why there is no direct one: `symmetric-both`, `refused`, `timeout` and others, as the strategy names it. */
  readonly cause: string | null
  /** When the state last changed, in ISO 8601. */
  readonly at: string
}
