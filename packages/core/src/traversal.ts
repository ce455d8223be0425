import { boundGateways, printable } from '@postern/interface'
import { checkNetwork } from './check-options.js'
import type { CallOptions, Endpoint, Host, MultiaddrText, Network } from '@postern/interface'
import { createCandidates } from './candidates.js'
import type { Context } from './context.js'
import { awaited } from './describe.js'
import { createDesks } from './desks.js'
import { createDoubts } from './doubts.js'
import { createEvents, type TraversalEvents, type TypedEvents } from './events.js'
import { heldAt } from './holding.js'
import { elapsedMs, stamp } from './keeper.js'
import { createLedger } from './ledger.js'
import { createLocals } from './local.js'
import { createMemoryBook } from './memory.js'
import { type HostedOptions, readOptions, type TraversalOptions, type WantOptions } from './options.js'
import { createClaims } from './owners.js'
import { createRecoveries } from './recovery.js'
import { createRelays } from './relays.js'
import type { Report } from './report.js'
import { createObservers, type LendTap } from './observers.js'
import { createReporter } from './reporter.js'
import { createReviewer } from './reviewer.js'
import { createRoster, gatewayKey } from './roster.js'
import { createSession, isNoMapper, type Session } from './session.js'
import { noteVerified, wasVerified } from './track-record.js'
import { createUpgrades } from './upgrades.js'
import { createVerifier } from './verifier.js'
import { createWanted } from './wanted.js'
import { changedFamilies, createRouteCheck, isOnPath } from './wants.js'

export interface Traversal extends TypedEvents<TraversalEvents> {
  /** Makes an endpoint reachable, as long as it is wanted. The address may be a wildcard. Throws a TypeError for an
   * endpoint that cannot be. Before or after `start`. */
  want(endpoint: Endpoint, options?: WantOptions): void
  /** Lends a UDP socket to observers until the signal aborts. Called whenever they are asked: once in each network, and
   * after a doubt. What they see stands in the report as `nat`, and as candidates where the endpoint is wanted. */
  lend(open: LendTap, options?: Partial<CallOptions>): void
  /** Tells where this host stands, now and whenever that changes, or may have changed (after sleep, for example). */
  networkIs(network: Network): void
  /** Starts. Resolves once it runs; {@link Traversal.firstPass} tells when there is something to see. Twice is once. */
  start(): Promise<void>
  /** Releases everything and stops. Nothing runs once it has resolved. Twice is once. */
  stop(): Promise<void>
  /** As `stop()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
  /** Resolves when everything that can be tried at once has been, or at `stop`. */
  firstPass(): Promise<void>
  /** Asks every gateway again for what it granted. `renewed`, `changed` or `lost` tell what came of it. */
  recheck(): void
  /** Resolves with the other end of a direct connection to the peer, made out of a relayed one where there is none yet.
   * Rejects with a NatError that says why there is none, or with the signal's reason. */
  upgrade(peerId: string, call: CallOptions): Promise<MultiaddrText>
  report(): Report
}

/** A difference between the two clocks that no correction makes: the machine slept. */
const sleptMs = 5000

/**
 * The ladder: tries the strategies in rank order for every endpoint that is wanted, keeps what they grant, has it
 * verified, falls back to relays, and says how reachable the host is.
 *
 * Throws a TypeError for options that cannot be right; does nothing before `start`.
 */
export function createTraversal(options: TraversalOptions): Traversal
export function createTraversal<H extends Host>(options: HostedOptions<H>): Traversal
export function createTraversal(options: TraversalOptions): Traversal {
  const { strategies, host, store, policy, doubt, owners } = readOptions(options)
  const { clock } = host
  const { target, fire } = createEvents()
  let network: Network = { gateways: [], addresses: [] }
  let session: Session | undefined
  let opening: AbortController | undefined
  let isOn = false
  /** Starts and stops, one after the other. */
  let turn: Promise<void> = Promise.resolve()
  let publicSinceMs: number | undefined
  let seen = stamp(clock)

  const doubts = createDoubts(doubt, clock, touched)
  const candidates = createCandidates(
    doubts,
    createRouteCheck(() => network),
    touched
  )
  const memory = createMemoryBook(store, clock, (error) => host.log.info(`memory: ${printable(String(error))}`))
  const roster = createRoster(strategies, host, policy, {
    changed(entry) {
      for (const holding of session?.holdings() ?? []) holding.ring('look')
      relays.look()
      if (entry.kind === 'witness') verifier.look()
      if (entry.kind === 'observer') observers.look()
      touched()
    },
    notice(entry, notice) {
      if (session === undefined) return
      if (notice.what === 'upgrade') return upgrades.heard(entry, notice)
      const { about, what } = notice
      if (what === 'gone') return about.kind === 'relay' ? relays.gone(about.party.id) : undefined
      host.log.info(`${entry.name}: the ${about.kind} says: ${what}`)
      if (about.kind !== 'mapper' || about.gateway === null) return
      const gateway = gatewayKey(about.gateway)
      // What a router says that is not used changes nothing.
      if (!isOnPath(about, entry, network) && !session.isHeldAt(gateway)) return
      recoveries.trigger(gateway, what === 'restarted' ? 'restarted' : 'hint', session, entry.name)
    }
  })
  const upgrades = createUpgrades(
    () => roster,
    clock,
    (report) => fire('upgrade', report)
  )
  const context: Context = {
    host,
    policy,
    roster,
    desks: createDesks(clock, policy.attemptMs),
    memory,
    candidates,
    locals: createLocals(candidates, () => network),
    doubts,
    ledger: createLedger(),
    claims: createClaims(owners, clock, (endpoint) => {
      for (const holding of session?.holdings() ?? []) if (holding.isOf(endpoint)) holding.ring('check')
    }),
    network: () => network,
    mayUse(rank) {
      if (session === undefined) return false
      if (clock.monotonicMs() - session.searchedMs() >= policy.windowMs) return true
      return roster.entries.every((entry) => entry.rank >= rank || entry.settled || isNoMapper(entry))
    },
    firstPassOver: () => session?.isPassOver() ?? false,
    isAwaited(entry) {
      if (session === undefined) return false
      return awaited(entry, clock.monotonicMs() - session.searchedMs() < policy.searchMs) === 'search'
    },
    emit(event) {
      if (event.event === 'verified') noteVerified(memory, clock, event)
      fire(event.event, event)
    },
    touched,
    gatewayChanged: (gateway) => recoveries.confirm(gateway),
    doubt: doubtAll
  }
  const verifier = createVerifier(context)
  const observers = createObservers(context)
  const relays = createRelays(
    context,
    () => publicSinceMs,
    () => wasVerified(memory, clock)
  )
  const recoveries = createRecoveries(host, policy, (gateway, why, toldMs) => {
    for (const holding of session?.holdings() ?? []) {
      if (holding.held() !== undefined && heldAt(holding) !== gateway) continue
      if (why === 'restarted') holding.gatewayForgot(toldMs)
      else holding.ring('check')
    }
    doubtAll()
  })
  const reporter = createReporter(context, {
    wants: () => wanted.all(),
    relays: () => relays.count(),
    relayLimits: () => relays.limits(),
    witnessNetworks: () => verifier.witnessNetworks(),
    searchedMs: () => session?.searchedMs(),
    peers: () => upgrades.report(),
    nat: () => observers.facts(),
    sightings: () => observers.sightings()
  })
  const reviewer = createReviewer(clock, review)
  const wanted = createWanted(
    policy.lifetimeMs,
    (want) => {
      if (session === undefined) return
      context.locals.add(want)
      session.hold(want)
    },
    (want) => {
      context.locals.remove(want)
      session?.drop(want)
      touched()
    }
  )

  function doubtAll(): void {
    verifier.doubt()
    observers.doubt()
  }

  function touched(): void {
    if (session !== undefined) reviewer.soon(session)
  }

  /** Looks at what has changed: whether the first pass is over, the verdict, who is to be verified. */
  function review(): number {
    if (session === undefined) return 0
    session.review()
    verifier.review(session)
    observers.review(session)
    for (const line of reporter.news()) fire('strategy', line)
    const { verdict, cause, externalAddresses, nat } = reporter.summary()
    if (verdict !== 'public') publicSinceMs = undefined
    else publicSinceMs ??= clock.monotonicMs()
    if (reviewer.isNews(JSON.stringify([verdict, cause, externalAddresses, nat]))) {
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
    const open = createSession({ context, relays, recoveries, verifier, observers, wanted }, cut)
    session = open
    for (const want of wanted.all()) context.locals.add(want)
    open.begin()
  }

  async function end(): Promise<void> {
    const open = session
    if (open === undefined) return
    session = undefined
    publicSinceMs = undefined
    await open.end()
    observers.reset()
    await memory.close()
    context.locals.clear()
    upgrades.clear()
    for (const { address } of candidates.all()) candidates.withdraw(address)
  }

  /** Whatever came of the step before, this one comes after it. */
  function inTurn(step: () => Promise<void>): Promise<void> {
    turn = turn.then(step, step)
    return turn
  }

  function stop(): Promise<void> {
    if (!isOn) return turn
    isOn = false
    opening?.abort()
    session?.abort()
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
      if (session !== undefined && (slept || changed.length > 0)) session.networkChanged(before, changed)
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
      await session?.firstPass
    },
    recheck() {
      for (const holding of session?.holdings() ?? []) holding.ring('check')
    },
    upgrade: (peerId, call) => upgrades.upgrade(peerId, call),
    report: () => reporter.report()
  }
}
