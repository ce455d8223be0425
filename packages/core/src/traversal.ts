import type { CallOptions, Endpoint, Host, MultiaddrText, Network } from '@postern/interface'
import type { Bus } from './async/bus.js'
import { createRoutersBeyond } from './beyond/routers-beyond.js'
import { checkRuntime } from './check-runtime.js'
import { createContext } from './context.js'
import { createWantedEndpoints, type WantOptions } from './discovery/wanted-endpoints.js'
import { createGatewayRecovery } from './mapping/gateway-recovery.js'
import { createEvents, type TraversalEvents, type TypedEvents } from './model/events.js'
import type { Report } from './model/report.js'
import { createExternalView } from './nat/external-view.js'
import type { OpenSharedSocket } from './nat/observe.js'
import { type HostedOptions, readOptions, type TraversalOptions } from './options.js'
import { createForwards } from './relay/forwards.js'
import { createReservations } from './relay/reservations.js'
import { createReporter } from './report/reporter.js'
import { createReviews } from './report/reviews.js'
import { createRun, type Run } from './run.js'
import type { Signals } from './signals.js'
import { createUpgrades } from './upgrade/upgrades.js'
import { createVerifier } from './verification/verifier.js'

/** What {@link createTraversal} returns. */
export interface Traversal extends TypedEvents<TraversalEvents> {
  /** Keeps an endpoint reachable until `options.signal` aborts. The address may be a wildcard. May be called before
   * or after `start`. Throws a TypeError for an invalid endpoint or option. */
  addEndpoint(endpoint: Endpoint, options?: WantOptions): void
  /** Lends a UDP socket to observers until the signal aborts. `open` is called each time they are asked: once in
   * each network, and after a doubt or a failure. The report shows what they see as `nat`, and as candidates if the
   * endpoint is wanted. */
  shareSocket(open: OpenSharedSocket, options?: Partial<CallOptions>): void
  /** Sets the network that this host is on. To be called at first, and whenever the network has changed or may have
   * changed, after sleep for example. Throws a TypeError for a value that is not a network. */
  setNetwork(network: Network): void
  /** @deprecated The earlier name of {@link Traversal.addEndpoint}. */
  want(endpoint: Endpoint, options?: WantOptions): void
  /** @deprecated The earlier name of {@link Traversal.setNetwork}. */
  networkIs(network: Network): void
  /** Starts. Resolves once the traversal runs; {@link Traversal.settled} resolves when there is something to
   * report. Idempotent. */
  start(): Promise<void>
  /** Releases everything and stops. Nothing runs after it has resolved. Idempotent. */
  stop(): Promise<void>
  /** The same as `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
  /** Resolves when everything that can be tried at once has been tried, or when the traversal stops. */
  settled(): Promise<void>
  /** Asks every gateway again for its mappings. The outcome is a `renewed`, `changed` or `lost` event. */
  recheck(): void
  /**
   * Upgrades a relayed connection to a peer to a direct one. Resolves with the peer's end of the direct connection.
   *
   * Rejects with the signal's reason, or with the NatError of the last strategy that was asked: `NO_SERVICE` if no
   * strategy makes direct connections or the traversal is not running, `STRATEGY_FAULT` for a fault in a strategy.
   * The strategy hole-punch adds `SYMMETRIC_NAT`, `REFUSED`, `NO_REPLY`, `EXTERNAL_ADDRESS_UNKNOWN`, `UNSUPPORTED`,
   * `GRANT_INVALID`, `QUOTA_EXCEEDED` and `UNREACHABLE`.
   */
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
  /** Returns the verdict, its cause, advice, and what each strategy has found by now. */
  report(): Report
}

/**
 * Creates the ladder: it tries the strategies in rank order for every wanted endpoint, keeps the granted mappings
 * alive, has them verified, falls back to relays, and reports how reachable the host is.
 *
 * Throws a TypeError for invalid options, and on a runtime that is too old. Does nothing before `start`.
 */
export function createTraversal(options: TraversalOptions): Traversal
export function createTraversal<H extends Host>(options: HostedOptions<H>): Traversal
export function createTraversal(options: TraversalOptions): Traversal {
  checkRuntime()
  const context = createContext(readOptions(options))
  const { bus, candidates, hostCandidates, memory, networkState, policy, progress } = context
  const { target, fire } = createEvents()
  let run: Run | undefined
  /** Aborts a start that still waits for the store. */
  let opening: AbortController | undefined
  let isOn = false
  /** Starts and stops run one after the other: this is the last of them. */
  let turn: Promise<void> = Promise.resolve()

  const routersBeyond = createRoutersBeyond(context)
  const verifier = createVerifier(context)
  const reservations = createReservations(context)
  const gatewayRecovery = createGatewayRecovery(context)
  const upgrades = createUpgrades(context)
  const wanted = createWantedEndpoints(
    policy.lifetimeMs,
    (want) => {
      if (run === undefined) return
      hostCandidates.add(want)
      run.add(want)
    },
    (want) => {
      hostCandidates.remove(want)
      run?.remove(want)
      bus.emit('reportChanged', undefined)
    }
  )
  const forwards = createForwards(context, wanted.includes)
  const externalView = createExternalView(context, wanted)
  const reporter = createReporter(context, {
    wants: () => wanted.all(),
    relays: () => reservations.count() + forwards.count(),
    relayLimits: () => reservations.limits(),
    witnessNetworks: () => verifier.witnessNetworks(),
    peers: () => upgrades.report(),
    nat: () => externalView.facts(),
    unconfirmed: () => externalView.unconfirmed(),
    levelsBeyond: () => routersBeyond.levels()
  })
  createReviews(context, reporter, () => run, [externalView, verifier], wanted.size)

  bus.on('strategyChanged', () => {
    run?.wakeAll('rescan')
    bus.emit('reportChanged', undefined)
  })
  bus.on('searchAdvanced', () => run?.wakeAll('rescan'))
  bus.on('claimChecked', () => run?.claimChecked())
  bus.on('noticed', ({ entry, notice }) => run?.noticed(entry, notice))
  bus.on('gatewayDoubted', (doubted) => run?.recover(doubted))
  bus.on('ownersChanged', (endpoint) => run?.recheck(endpoint))
  forward(bus, fire)

  async function begin(): Promise<void> {
    const controller = new AbortController()
    opening = controller
    await memory.open(controller)
    opening = undefined
    if (controller.signal.aborted) return
    reporter.reset()
    networkState.started()
    const opened = createRun(
      { context, routersBeyond, reservations, forwards, gatewayRecovery, verifier, externalView, wanted },
      controller
    )
    run = opened
    for (const want of wanted.all()) hostCandidates.add(want)
    opened.begin()
  }

  async function end(): Promise<void> {
    const ending = run
    if (ending === undefined) return
    run = undefined
    progress.stopped()
    await ending.end()
    externalView.clear()
    await memory.close()
    hostCandidates.clear()
    upgrades.clear()
    for (const { address } of candidates.all()) candidates.withdraw(address)
  }

  /** Runs a step after the previous one, whether that succeeded or failed. */
  function inTurn(step: () => Promise<void>): Promise<void> {
    turn = turn.then(step, step)
    return turn
  }

  function stop(): Promise<void> {
    if (!isOn) return turn
    isOn = false
    opening?.abort()
    run?.abort()
    return inTurn(end)
  }

  const addEndpoint = (endpoint: Endpoint, wish: WantOptions = {}): void => wanted.add(endpoint, wish)

  function setNetwork(next: Network): void {
    const change = networkState.set(next)
    if (change !== undefined) run?.networkChanged(change.before, change.families)
  }

  return {
    ...target,
    addEndpoint,
    want: addEndpoint,
    shareSocket: (open, call = {}) => externalView.lend(open, call),
    setNetwork,
    networkIs: setNetwork,
    start() {
      if (isOn) return turn
      isOn = true
      return inTurn(begin)
    },
    stop,
    [Symbol.asyncDispose]: stop,
    settled: () => turn.then(() => run?.firstPass),
    recheck: () => run?.wakeAll('recheck'),
    upgrade: (peerId, call) => upgrades.upgrade(peerId, call),
    report: () => reporter.report()
  }
}

/** Tells the listeners of the traversal what its parts tell each other for them. */
function forward(bus: Bus<Signals>, fire: ReturnType<typeof createEvents>['fire']): void {
  bus.on('mapping', (event) => fire(event.event, event))
  bus.on('strategy', (line) => fire('strategy', line))
  bus.on('verdict', (report) => fire('verdict', report))
  bus.on('upgrade', (report) => fire('upgrade', report))
  bus.on('request', (request) => fire('request', request))
  bus.on('lease', (change) => fire('lease', change))
}
