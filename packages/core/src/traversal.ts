import { boundGateways, printable } from '@postern/interface'
import { checkNetwork } from './check-options.js'
import type { CallOptions, Endpoint, Host, MultiaddrText, Network } from '@postern/interface'
import { createCandidates } from './candidates/candidates.js'
import type { Context } from './context.js'
import { awaited } from './report/describe.js'
import { createGatewayQueues } from './discovery/gateway-queues.js'
import { createClaimChecks } from './candidates/claim-checks.js'
import { createEvents, type TraversalEvents, type TypedEvents } from './model/events.js'
import { gatewayKeyOf } from './mapping/map-endpoint.js'
import { elapsedMs, stamp } from './lease/stamp.js'
import { createAddressHolders } from './candidates/address-holders.js'
import { createHostCandidates } from './candidates/host-candidates.js'
import { createMappingMemory } from './memory/mapping-memory.js'
import { type HostedOptions, readOptions, type TraversalOptions } from './options.js'
import { createGatewayRests } from './discovery/gateway-rests.js'
import { createMappingOwners } from './owners/mapping-owners.js'
import { createGatewayRecovery } from './mapping/gateway-recovery.js'
import { createReservations } from './relay/reservations.js'
import type { Report } from './model/report.js'
import { createObservers, type LendTap } from './nat/observe.js'
import { createReporter } from './report/reporter.js'
import { createThrottle } from './async/throttle.js'
import { createDiscoveries, gatewayKey } from './discovery/discoveries.js'
import { createRun, isNotMapper, type Run } from './run.js'
import { noteVerified, wasVerified } from './memory/last-verified.js'
import { createUpgrades } from './upgrade/upgrades.js'
import { createVerifier } from './verification/verifier.js'
import { createWantedEndpoints, type WantOptions } from './discovery/wanted-endpoints.js'
import { changedFamilies, createRouteCheck, isOnPath } from './discovery/endpoints.js'

/** What {@link createTraversal} returns. */
export interface Traversal extends TypedEvents<TraversalEvents> {
  /** Keeps an endpoint reachable until `options.signal` aborts. The address may be a wildcard. May be called before
   * or after `start`. Throws a TypeError for an invalid endpoint or option. */
  want(endpoint: Endpoint, options?: WantOptions): void
  /** Lends a UDP socket to observers until the signal aborts. `open` is called each time they are asked: once in
   * each network, and after a doubt or a failure. The report shows what they see as `nat`, and as candidates if the
   * endpoint is wanted. */
  lend(open: LendTap, options?: Partial<CallOptions>): void
  /** Sets the network that this host is on. To be called at first, and whenever the network has changed or may have
   * changed, after sleep for example. Throws a TypeError for a value that is not a network. */
  networkIs(network: Network): void
  /** Starts. Resolves once the traversal runs; {@link Traversal.firstPass} resolves when there is something to
   * report. Idempotent. */
  start(): Promise<void>
  /** Releases everything and stops. Nothing runs after it has resolved. Idempotent. */
  stop(): Promise<void>
  /** The same as `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
  /** Resolves when everything that can be tried at once has been tried, or when the traversal stops. */
  firstPass(): Promise<void>
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

/** If the wall clock gains this much on the monotonic clock, the machine was suspended (ms). */
const sleptMs = 5000

/**
 * Creates the ladder: it tries the strategies in rank order for every wanted endpoint, keeps the granted mappings
 * alive, has them verified, falls back to relays, and reports how reachable the host is.
 *
 * Throws a TypeError for invalid options. Does nothing before `start`.
 */
export function createTraversal(options: TraversalOptions): Traversal
export function createTraversal<H extends Host>(options: HostedOptions<H>): Traversal
export function createTraversal(options: TraversalOptions): Traversal {
  const { strategies, host, store, policy, doubt, owners } = readOptions(options)
  const { clock } = host
  const { target, fire } = createEvents()
  let network: Network = { gateways: [], addresses: [] }
  let run: Run | undefined
  let opening: AbortController | undefined
  let isOn = false
  /** Starts and stops run one after the other: this is the last of them. */
  let turn: Promise<void> = Promise.resolve()
  let publicSinceMs: number | undefined
  let seen = stamp(clock)

  const claimChecks = createClaimChecks(doubt, clock, touched)
  const candidates = createCandidates(
    claimChecks,
    createRouteCheck(() => network),
    touched
  )
  const memory = createMappingMemory(store, clock, (error) => host.log.info(`memory: ${printable(String(error))}`))
  const discoveries = createDiscoveries(strategies, host, policy, {
    changed(entry) {
      for (const endpointMapping of run?.endpointMappings() ?? []) endpointMapping.wake('rescan')
      relays.look()
      if (entry.kind === 'witness') verifier.look()
      if (entry.kind === 'observer') observers.look()
      touched()
    },
    notice(entry, notice) {
      if (run === undefined) return
      if (notice.what === 'upgrade') return upgrades.heard(entry, notice)
      const { about, what } = notice
      if (what === 'gone') return about.kind === 'relay' ? relays.gone(about.party.id) : undefined
      host.log.info(`${entry.name}: the ${about.kind} says: ${what}`)
      if (about.kind !== 'mapper' || about.gateway === null) return
      const gateway = gatewayKey(about.gateway)
      // Ignore a router that is not in use.
      if (!isOnPath(about, entry, network) && !run.isHeldAt(gateway)) return
      gatewayRecovery.trigger(gateway, what === 'restarted' ? 'restarted' : 'hint', run, entry.name)
    }
  })
  const upgrades = createUpgrades(
    () => discoveries,
    clock,
    (report) => fire('upgrade', report)
  )
  const context: Context = {
    host,
    policy,
    discoveries,
    queues: createGatewayQueues(clock, policy.attemptMs),
    gatewayRests: createGatewayRests(clock),
    memory,
    candidates,
    hostCandidates: createHostCandidates(candidates, () => network),
    claimChecks,
    addressHolders: createAddressHolders(),
    mappingOwners: createMappingOwners(owners, clock, (endpoint) => {
      for (const endpointMapping of run?.endpointMappings() ?? [])
        if (endpointMapping.isOf(endpoint)) endpointMapping.wake('recheck')
    }),
    network: () => network,
    mayUse(rank) {
      if (run === undefined) return false
      if (clock.monotonicMs() - run.searchedMs() >= policy.windowMs) return true
      return discoveries.entries.every((entry) => entry.rank >= rank || entry.settled || isNotMapper(entry))
    },
    firstPassOver: () => run?.isPassOver() ?? false,
    isAwaited(entry) {
      if (run === undefined) return false
      return awaited(entry, clock.monotonicMs() - run.searchedMs() < policy.searchMs) === 'search'
    },
    emit(event) {
      if (event.event === 'verified') noteVerified(memory, clock, event)
      fire(event.event, event)
    },
    touched,
    gatewayChanged: (gateway) => gatewayRecovery.confirm(gateway),
    doubt: doubtAll
  }
  const verifier = createVerifier(context)
  const observers = createObservers(context)
  const relays = createReservations(
    context,
    () => publicSinceMs,
    () => wasVerified(memory, clock)
  )
  const gatewayRecovery = createGatewayRecovery(host, policy, (gateway, why, toldMs) => {
    for (const endpointMapping of run?.endpointMappings() ?? []) {
      if (endpointMapping.held() !== undefined && gatewayKeyOf(endpointMapping) !== gateway) continue
      if (why === 'restarted') endpointMapping.gatewayForgot(toldMs)
      else endpointMapping.wake('recheck')
    }
    doubtAll()
  })
  const reporter = createReporter(context, {
    wants: () => wanted.all(),
    relays: () => relays.count(),
    relayLimits: () => relays.limits(),
    witnessNetworks: () => verifier.witnessNetworks(),
    searchedMs: () => run?.searchedMs(),
    peers: () => upgrades.report(),
    nat: () => observers.facts(),
    natObservations: () => observers.natObservations()
  })
  const throttle = createThrottle(clock, review)
  const wanted = createWantedEndpoints(
    policy.lifetimeMs,
    (want) => {
      if (run === undefined) return
      context.hostCandidates.add(want)
      run.hold(want)
    },
    (want) => {
      context.hostCandidates.remove(want)
      run?.drop(want)
      touched()
    }
  )

  function doubtAll(): void {
    verifier.doubt()
    observers.doubt()
  }

  function touched(): void {
    if (run !== undefined) throttle.soon(run)
  }

  /** Processes recent changes: may end the first pass, starts verifications and observations, and emits `strategy`
   * and `verdict` events. Returns how many endpoints and candidates it has looked at. */
  function review(): number {
    if (run === undefined) return 0
    run.review()
    verifier.review(run)
    observers.review(run)
    for (const line of reporter.news()) fire('strategy', line)
    const { verdict, cause, externalAddresses, nat } = reporter.summary()
    if (verdict !== 'public') publicSinceMs = undefined
    else publicSinceMs ??= clock.monotonicMs()
    if (throttle.isNews(JSON.stringify([verdict, cause, externalAddresses, nat]))) {
      relays.look()
      fire('verdict', reporter.report())
    }
    return wanted.size() + candidates.size()
  }

  async function begin(): Promise<void> {
    const cut = new AbortController()
    opening = cut
    await memory.open(cut)
    opening = undefined
    if (cut.signal.aborted) return
    reporter.reset()
    seen = stamp(clock)
    const open = createRun({ context, relays, gatewayRecovery, verifier, observers, wanted }, cut)
    run = open
    for (const want of wanted.all()) context.hostCandidates.add(want)
    open.begin()
  }

  async function end(): Promise<void> {
    const open = run
    if (open === undefined) return
    run = undefined
    publicSinceMs = undefined
    await open.end()
    observers.reset()
    await memory.close()
    context.hostCandidates.clear()
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

  return {
    ...target,
    want: (endpoint, options = {}) => wanted.add(endpoint, options),
    lend: (open, call = {}) => observers.lend(open, call),
    networkIs(next) {
      checkNetwork(next)
      const before = network
      network = { ...next, gateways: boundGateways(next.gateways) }
      const changed = changedFamilies(network, before)
      const slept = elapsedMs(clock, seen) - (clock.monotonicMs() - seen.monotonicMs) > sleptMs
      seen = stamp(clock)
      if (run !== undefined && (slept || changed.length > 0)) run.networkChanged(before, changed)
    },
    start() {
      if (isOn) return turn
      isOn = true
      return inTurn(begin)
    },
    stop,
    [Symbol.asyncDispose]: stop,
    async firstPass() {
      await turn
      await run?.firstPass
    },
    recheck() {
      for (const endpointMapping of run?.endpointMappings() ?? []) endpointMapping.wake('recheck')
    },
    upgrade: (peerId, call) => upgrades.upgrade(peerId, call),
    report: () => reporter.report()
  }
}
