/** The numbers and choices of the ladder. Every part can be replaced: `createTraversal({ policy: { quorum: 3 } })`. */
export interface Policy {
  /** How long a better-ranked strategy that is still searching holds back one that has found something, in ms.
   * @default 250 */
  readonly windowMs: number
  /** After this time the first pass is over even if strategies are still searching, in ms.
   * @default 1000 */
  readonly firstPassMs: number
  /** How long the ladder waits for one strategy before it asks the next one as well, and how long a relay may take to
   * reserve, in ms. The first strategy is not given up: the first grant is kept.
   * @default 2000 */
  readonly attemptMs: number
  /** How long one verb of a mapper may take at most where the strategy states no limit of its own, in ms.
   * @default 30000 */
  readonly verbMs: number
  /** How long deleting may take that was not confirmed, in ms.
   * @default 15000 */
  readonly undoMs: number
  /** How long a strategy that has found nothing so far counts as still searching, in ms.
   * @default 15000 */
  readonly searchMs: number
  /** The lifetime that is asked for, in ms. What is granted may differ.
   * @default 7200000 (2 h) */
  readonly lifetimeMs: number
  /** How long an attempt that failed rests, in ms: at first, and at most. It doubles in between.
   * @default { firstMs: 5000, mostMs: 300000 } */
  readonly retry: BackOff
  /** Reasons to look again that come together are one, in ms.
   * @default 500 */
  readonly coalesceMs: number
  /** How far apart recoveries of one gateway are, in ms: at first, and at most. It doubles in between.
   * @default { firstMs: 10000, mostMs: 300000 } */
  readonly recovery: BackOff
  /** The longest wait before renewing after a router has started again, in ms: a whole network wakes up then
   * (RFC 6886 §3.7, RFC 6887 §14.1.3).
   * @default 5000 */
  readonly restartJitterMs: number
  /** How often a gateway that announces nothing is asked whether it is still the same, in ms.
   * @default 900000 (15 min) */
  readonly pollMs: number
  /** How many witnesses on distinct networks must agree.
   * @default 2 */
  readonly quorum: number
  /** How many witnesses are asked in one round at most.
   * @default 5 */
  readonly witnessesPerRound: number
  /** How many addresses one witness is asked about per minute at most, and how often one observer is asked.
   * @default 4 */
  readonly askedPerMinute: number
  /** How long a witness may take, in ms.
   * @default 15000 */
  readonly verifyMs: number
  /** After so long another witness is asked beside one that has not answered, in ms.
   * @default 2000 */
  readonly slowWitnessMs: number
  /** When a verified address is verified again, in ms: at first, and at most. It doubles in between, ± 20 %.
   * @default { firstMs: 600000, mostMs: 3600000 } */
  readonly reverify: BackOff
  /** How long an address that was refuted is not announced again, in ms: at first, and at most.
   * @default { firstMs: 30000, mostMs: 600000 } */
  readonly holdDown: BackOff
  /** After this time without enough witnesses a consistent address counts as it is, in ms.
   * @default 10000 */
  readonly unverifiedAfterMs: number
  /** How many observers are asked about one socket, on distinct networks where there are some.
   * @default 3 */
  readonly observers: number
  /** How long an observer may take, in ms. One that shows how the NAT behaves waits for what does not come.
   * @default 30000 */
  readonly observeMs: number
  /** How far apart questions to observers are in one network, in ms: at first, and at most. It doubles while the answers stay
   * the same. Without a doubt nobody is asked twice; after a failure the first wait is that of `retry`.
   * @default { firstMs: 300000, mostMs: 3600000 } */
  readonly reobserve: BackOff
  /** When relays are asked and let go. */
  readonly relay: RelayPolicy
  /** How long `stop` takes at most, in ms.
   * @default 2000 */
  readonly stopMs: number
  /** How long `stop` takes at most where a router is known to be slow, in ms: three times as long as its slowest verb has
   * taken, and no longer than this.
   * @default 10000 */
  readonly slowStopMs: number
  /** How long after the start leftovers of an earlier run are deleted, in ms.
   * @default 10000 */
  readonly tidyAfterMs: number
}

export interface BackOff {
  readonly firstMs: number
  readonly mostMs: number
}

export interface RelayPolicy {
  /** How many reservations, on distinct networks.
   * @default 2 */
  readonly count: number
  /** How long the first one waits where this gateway's address was verified within a day, in ms.
   * @default 2000 */
  readonly patienceMs: number
  /** After this time without `public` the second one is taken, in ms.
   * @default 5000 */
  readonly secondAfterMs: number
  /** After so long `public` the reservations are let go, in ms.
   * @default 60000 */
  readonly letGoAfterMs: number
  /** Whether circuits of ours are in use: the reservations are kept as long as they are.
   * @default none ever is */
  readonly inUse: () => boolean
  /** How long a relay that refused rests at least, in ms.
   * @default { firstMs: 60000, mostMs: 3600000 } */
  readonly rest: BackOff
}

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

/** The wait before try number `failures + 1`. */
export const backOffMs = ({ firstMs, mostMs }: BackOff, failures: number): number =>
  Math.min(mostMs, firstMs * 2 ** Math.max(0, failures - 1))
