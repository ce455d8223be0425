/** The limits and intervals of a traversal. Each can be replaced: `createTraversal({ policy: { quorum: 3 } })`. */
export interface Policy {
  /** How long a strategy that has found something waits for better-ranked ones that are still searching, in ms.
   * @default 250 */
  readonly preferenceWindowMs: number
  /** The first pass ends after this time even if strategies are still searching, in ms.
   * @default 1000 */
  readonly firstPassMs: number
  /** How long to wait for one strategy before the next one is asked as well, and how long a relay may take to
   * reserve, in ms. The slower strategy is not cancelled: the first grant is kept.
   * @default 2000 */
  readonly requestTimeoutMs: number
  /** How long one call of a mapper may take if the strategy states no limit of its own, in ms.
   * @default 30000 */
  readonly verbMs: number
  /** How long a strategy may take to delete what a request without an answer may have mapped, in ms.
   * @default 15000 */
  readonly undoMs: number
  /** How long a strategy that has found nothing counts as still searching, in ms.
   * @default 15000 */
  readonly searchMs: number
  /** The lifetime to request, in ms. The granted lifetime may differ.
   * @default 7200000 (2 h) */
  readonly lifetimeMs: number
  /** Delay before a failed attempt is repeated, in ms: initially, and at most. It doubles in between.
   * @default { initialMs: 5000, maxMs: 300000 } */
  readonly retry: BackOff
  /** How long to collect reasons to search or check again before acting on them once, in ms.
   * @default 500 */
  readonly debounceMs: number
  /** Minimum interval between recoveries of one gateway, in ms: initially, and at most. It doubles in between.
   * @default { initialMs: 10000, maxMs: 300000 } */
  readonly recovery: BackOff
  /** Maximum random delay before renewing after a router restart, in ms, since all hosts of the network renew then
   * (RFC 6886 §3.7, RFC 6887 §14.1.3).
   * @default 5000 */
  readonly restartJitterMs: number
  /** How often to ask a gateway that announces nothing whether its state is unchanged, in ms.
   * @default 900000 (15 min) */
  readonly recheckIntervalMs: number
  /** How many witnesses on distinct networks must agree.
   * @default 2 */
  readonly quorum: number
  /** How many witnesses to ask in one round at most.
   * @default 5 */
  readonly witnessesPerRound: number
  /** Maximum number of requests per minute to one witness, and to one observer.
   * @default 4 */
  readonly maxRequestsPerMinute: number
  /** How long a witness may take to answer, in ms.
   * @default 15000 */
  readonly verifyTimeoutMs: number
  /** How long to wait for a witness before another one is asked as well, in ms.
   * @default 2000 */
  readonly slowWitnessMs: number
  /** Interval between verifications of a verified address, in ms: initially, and at most. It doubles in between, ±20 %.
   * @default { initialMs: 600000, maxMs: 3600000 } */
  readonly reverify: BackOff
  /** How long a refuted address is not announced again, in ms: initially, and at most.
   * @default { initialMs: 30000, maxMs: 600000 } */
  readonly holdDown: BackOff
  /** How long to wait for enough witnesses before a consistent address counts as reachable without them, in ms.
   * @default 10000 */
  readonly unverifiedAfterMs: number
  /** How many observers to ask about one socket, on distinct networks where possible.
   * @default 3 */
  readonly observers: number
  /** How long an observer may take, in ms. Some tests of a NAT wait for datagrams that never arrive.
   * @default 30000 */
  readonly observeMs: number
  /** Minimum interval between requests to the same observers in one network, in ms: initially, and at most. It
   * doubles while the answers stay the same. Observers are asked again only after a doubt or a failure; after a
   * failure the first interval is that of `retry`.
   * @default { initialMs: 300000, maxMs: 3600000 } */
  readonly reobserve: BackOff
  /** Interval between the requests that keep the NAT's mapping of a UDP socket alive, in ms. They are sent while the address
   * at which observers see the socket is a candidate. If the lifetime of mappings could be measured, the interval follows
   * from that instead.
   * @default 15000 */
  readonly keepAliveMs: number
  /** When relays are reserved and released, and ports of forwarders taken and given back. */
  readonly relay: RelayPolicy
  /** How long `stop` takes at most, in ms.
   * @default 2000 */
  readonly stopTimeoutMs: number
  /** How long `stop` may take at most if a router is slow, in ms. The limit is then three times the duration of the
   * router's slowest call, and never more than this.
   * @default 10000 */
  readonly slowStopMs: number
  /** How long after the start the mappings that an earlier run left are deleted, in ms.
   * @default 10000 */
  readonly staleCleanupDelayMs: number
}

/** A delay that doubles with each repetition, from `initialMs` up to `maxMs`, in ms. */
export interface BackOff {
  /** The delay after the first failure. */
  readonly initialMs: number
  /** The maximum delay. */
  readonly maxMs: number
}

/** When relays are reserved and released, and ports of forwarders taken and given back. A reservation here is also a port of
 * a forwarder, of which each endpoint has its own. */
export interface RelayPolicy {
  /** Number of reservations, on distinct networks.
   * @default 2 */
  readonly count: number
  /** How long to delay the first reservation if this host was verified within the last day, in ms.
   * @default 2000 */
  readonly initialDelayMs: number
  /** How long to wait for the verdict `public` before the second reservation is made, in ms.
   * @default 5000 */
  readonly secondReservationAfterMs: number
  /** How long the verdict must be `public` before the reservations are released, and a direct address of an endpoint
   * verified before its forwarders' ports are given back, in ms. `Infinity`: they are kept.
   * @default 60000 */
  readonly releaseAfterPublicMs: number
  /** Returns whether relayed connections (circuits) of this host are in use. Reservations are kept while it returns
   * true.
   * @default circuits never count as in use */
  readonly isInUse: () => boolean
  /** How long a relay that refused is not asked again, in ms: initially, and at most.
   * @default { initialMs: 60000, maxMs: 3600000 } */
  readonly rest: BackOff
  /** How long to wait before a port of a forwarder is asked for again that was lost or is taken, in ms: initially, and
   * at most.
   * @default { initialMs: 500, maxMs: 2000 } */
  readonly retake: BackOff
}

/** The policy that applies where none is given. */
export const defaultPolicy: Policy = {
  preferenceWindowMs: 250,
  firstPassMs: 1000,
  requestTimeoutMs: 2000,
  verbMs: 30_000,
  undoMs: 15_000,
  searchMs: 15_000,
  lifetimeMs: 7_200_000,
  retry: { initialMs: 5000, maxMs: 300_000 },
  debounceMs: 500,
  recovery: { initialMs: 10_000, maxMs: 300_000 },
  restartJitterMs: 5000,
  recheckIntervalMs: 900_000,
  quorum: 2,
  witnessesPerRound: 5,
  maxRequestsPerMinute: 4,
  verifyTimeoutMs: 15_000,
  slowWitnessMs: 2000,
  reverify: { initialMs: 600_000, maxMs: 3_600_000 },
  holdDown: { initialMs: 30_000, maxMs: 600_000 },
  unverifiedAfterMs: 10_000,
  observers: 3,
  observeMs: 30_000,
  reobserve: { initialMs: 300_000, maxMs: 3_600_000 },
  keepAliveMs: 15_000,
  relay: {
    count: 2,
    initialDelayMs: 2000,
    secondReservationAfterMs: 5000,
    releaseAfterPublicMs: 60_000,
    isInUse: () => false,
    rest: { initialMs: 60_000, maxMs: 3_600_000 },
    retake: { initialMs: 500, maxMs: 2000 }
  },
  stopTimeoutMs: 2000,
  slowStopMs: 10_000,
  staleCleanupDelayMs: 10_000
}

/** Returns the delay before the next try after this many failures, in ms. */
export const backOffMs = ({ initialMs, maxMs }: BackOff, failures: number): number =>
  Math.min(maxMs, initialMs * 2 ** Math.max(0, failures - 1))
