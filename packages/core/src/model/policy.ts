/** The limits and intervals of a traversal. Each can be replaced: `createTraversal({ policy: { quorum: 3 } })`. */
export interface Policy {
  /** How long a strategy that has found something waits for better-ranked ones that are still searching, in ms.
   * @default 250 */
  readonly windowMs: number
  /** The first pass ends after this time even if strategies are still searching, in ms.
   * @default 1000 */
  readonly firstPassMs: number
  /** How long to wait for one strategy before the next one is asked as well, and how long a relay may take to
   * reserve, in ms. The slower strategy is not cancelled: the first grant is kept.
   * @default 2000 */
  readonly attemptMs: number
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
   * @default { firstMs: 5000, mostMs: 300000 } */
  readonly retry: BackOff
  /** How long to collect reasons to search or check again before acting on them once, in ms.
   * @default 500 */
  readonly coalesceMs: number
  /** Minimum interval between recoveries of one gateway, in ms: initially, and at most. It doubles in between.
   * @default { firstMs: 10000, mostMs: 300000 } */
  readonly recovery: BackOff
  /** Maximum random delay before renewing after a router restart, in ms, since all hosts of the network renew then
   * (RFC 6886 §3.7, RFC 6887 §14.1.3).
   * @default 5000 */
  readonly restartJitterMs: number
  /** How often to ask a gateway that announces nothing whether its state is unchanged, in ms.
   * @default 900000 (15 min) */
  readonly pollMs: number
  /** How many witnesses on distinct networks must agree.
   * @default 2 */
  readonly quorum: number
  /** How many witnesses to ask in one round at most.
   * @default 5 */
  readonly witnessesPerRound: number
  /** Maximum number of requests per minute to one witness, and to one observer.
   * @default 4 */
  readonly askedPerMinute: number
  /** How long a witness may take to answer, in ms.
   * @default 15000 */
  readonly verifyMs: number
  /** How long to wait for a witness before another one is asked as well, in ms.
   * @default 2000 */
  readonly slowWitnessMs: number
  /** Interval between verifications of a verified address, in ms: initially, and at most. It doubles in between, ±20 %.
   * @default { firstMs: 600000, mostMs: 3600000 } */
  readonly reverify: BackOff
  /** How long a refuted address is not announced again, in ms: initially, and at most.
   * @default { firstMs: 30000, mostMs: 600000 } */
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
   * @default { firstMs: 300000, mostMs: 3600000 } */
  readonly reobserve: BackOff
  /** When relays are reserved and released. */
  readonly relay: RelayPolicy
  /** How long `stop` takes at most, in ms.
   * @default 2000 */
  readonly stopMs: number
  /** How long `stop` may take at most if a router is slow, in ms. The limit is then three times the duration of the
   * router's slowest call, and never more than this.
   * @default 10000 */
  readonly slowStopMs: number
  /** How long after the start the mappings that an earlier run left are deleted, in ms.
   * @default 10000 */
  readonly tidyAfterMs: number
}

/** A delay that doubles with each repetition, from `firstMs` up to `mostMs`, in ms. */
export interface BackOff {
  /** The delay after the first failure. */
  readonly firstMs: number
  /** The maximum delay. */
  readonly mostMs: number
}

/** When relays are reserved and released. */
export interface RelayPolicy {
  /** Number of reservations, on distinct networks.
   * @default 2 */
  readonly count: number
  /** How long to delay the first reservation if this host was verified within the last day, in ms.
   * @default 2000 */
  readonly patienceMs: number
  /** How long to wait for the verdict `public` before the second reservation is made, in ms.
   * @default 5000 */
  readonly secondAfterMs: number
  /** How long the verdict must be `public` before the reservations are released, in ms.
   * @default 60000 */
  readonly letGoAfterMs: number
  /** Returns whether relayed connections (circuits) of this host are in use. Reservations are kept while it returns
   * true.
   * @default circuits never count as in use */
  readonly inUse: () => boolean
  /** How long a relay that refused is not asked again, in ms: initially, and at most.
   * @default { firstMs: 60000, mostMs: 3600000 } */
  readonly rest: BackOff
}

/** The policy that applies where none is given. */
export const defaultPolicy: Policy = {
  windowMs: 250,
  firstPassMs: 1000,
  attemptMs: 2000,
  verbMs: 30_000,
  undoMs: 15_000,
  searchMs: 15_000,
  lifetimeMs: 7_200_000,
  retry: { firstMs: 5000, mostMs: 300_000 },
  coalesceMs: 500,
  recovery: { firstMs: 10_000, mostMs: 300_000 },
  restartJitterMs: 5000,
  pollMs: 900_000,
  quorum: 2,
  witnessesPerRound: 5,
  askedPerMinute: 4,
  verifyMs: 15_000,
  slowWitnessMs: 2000,
  reverify: { firstMs: 600_000, mostMs: 3_600_000 },
  holdDown: { firstMs: 30_000, mostMs: 600_000 },
  unverifiedAfterMs: 10_000,
  observers: 3,
  observeMs: 30_000,
  reobserve: { firstMs: 300_000, mostMs: 3_600_000 },
  relay: {
    count: 2,
    patienceMs: 2000,
    secondAfterMs: 5000,
    letGoAfterMs: 60_000,
    inUse: () => false,
    rest: { firstMs: 60_000, mostMs: 3_600_000 }
  },
  stopMs: 2000,
  slowStopMs: 10_000,
  tidyAfterMs: 10_000
}

/** Returns the delay before the next try after this many failures, in ms. */
export const backOffMs = ({ firstMs, mostMs }: BackOff, failures: number): number =>
  Math.min(mostMs, firstMs * 2 ** Math.max(0, failures - 1))
