import { canonicalAddress, type Endpoint, type Host, isWildcard, type Network } from '@postern/interface'
import { attempt } from './attempt.js'
import { createCandidates } from './candidates.js'
import type { Context } from './context.js'
import { describeCandidate, describeGateway, describeStrategy } from './describe.js'
import { createDesks } from './desks.js'
import { createDoubts } from './doubts.js'
import { createEvents, type MappingEvent, type TraversalEvents, type TypedEvents } from './events.js'
import { createHolding, heldAt, type Holding } from './holding.js'
import { elapsedMs } from './keeper.js'
import { createLedger } from './ledger.js'
import { refreshLocal } from './local.js'
import { createMemoryBook, type Memory } from './memory.js'
import { type HostedOptions, readOptions, type TraversalOptions, type WantOptions } from './options.js'
import { createRecoveries } from './recovery.js'
import { createRelays } from './relays.js'
import type { Report } from './report.js'
import { createReviewer } from './reviewer.js'
import { createRoster, type Entry, gatewayKey } from './roster.js'
import { tidy } from './tidy.js'
import { judge } from './verdict.js'
import { createVerifier } from './verifier.js'
import { checkEndpoint, checkPort, type Want, wantKey } from './wants.js'

export interface Traversal extends TypedEvents<TraversalEvents> {
  /** Makes an endpoint reachable, as long as it is wanted. The address may be a wildcard. Throws a TypeError for an
   * endpoint that cannot be. Before or after `start`. */
  want(endpoint: Endpoint, options?: WantOptions): void
  /** Tells where this host stands, now and whenever that changes, or may have changed (after sleep, for example). */
  networkIs(network: Network): void
  /** Starts. Resolves once it runs; {@link Traversal.firstPass} tells when there is something to see. Twice is once. */
  start(): Promise<void>
  /** Releases everything and stops. Nothing runs once it has resolved. Twice is once. */
  stop(): Promise<void>
  /** Resolves when everything that can be tried at once has been, or at `stop`. */
  firstPass(): Promise<void>
  /** Asks every gateway again for what it granted. `renewed`, `changed` or `lost` tell what came of it. */
  recheck(): void
  report(): Report
}

interface Wanted {
  readonly want: Want
  readonly cut: AbortController
  users: number
}

/** A difference between the two clocks that no correction makes: the machine slept. */
const sleptMs = 5000
const dayMs = 24 * 60 * 60 * 1000

/**
 * The ladder: tries the strategies in rank order for every endpoint that is wanted, keeps what they grant, has it
 * verified, falls back to relays, and says how reachable the host is.
 *
 * Throws a TypeError for options that cannot be right; does nothing before `start`.
 */
export function createTraversal(options: TraversalOptions): Traversal
export function createTraversal<H extends Host>(options: HostedOptions<H>): Traversal
export function createTraversal(options: TraversalOptions): Traversal {
  const { strategies, host, store, policy, doubt } = readOptions(options)
  const { clock } = host
  const { target, fire } = createEvents()
  const wanted = new Map<string, Wanted>()
  let network: Network = { gateways: [], addresses: [] }
  let session: Session | undefined
  let stopping: Promise<void> | undefined
  let starting: Promise<void> | undefined
  let lines = new Map<Entry, string>()

  interface Session {
    readonly cut: AbortController
    readonly holdings: Map<string, Holding>
    readonly running: Set<Promise<unknown>>
    readonly firstPass: PromiseWithResolvers<void>
    search: AbortController
    searchedMs: number
    passOver: boolean
    publicSinceMs: number | undefined
    seen: { monotonicMs: number; wallMs: number }
  }

  const desks = createDesks()
  const doubts = createDoubts(
    doubt && ((address, call) => attempt((bounded) => doubt(address, bounded), policy.attemptMs, clock, call)),
    () => touched()
  )
  const candidates = createCandidates(doubts, () => touched())
  const memory = createMemoryBook(store, clock, (error) => host.log.info(`memory: ${String(error)}`))
  const roster = createRoster(strategies, host, policy, {
    changed(entry) {
      if (session === undefined) return
      for (const holding of session.holdings.values()) holding.ring('look')
      relays.look()
      if (entry.kind === 'witness') verifier.doubt()
      touched()
    },
    notice(entry, notice) {
      const { about, what } = notice
      if (session === undefined || what === 'gone') return
      host.log.info(`${entry.name}: the ${about.kind} says: ${what}`)
      if (about.kind === 'mapper' && about.gateway !== null) {
        const why = what === 'restarted' ? 'restarted' : 'hint'
        recoveries.trigger(gatewayKey(about.gateway), why, session.search)
      }
    }
  })
  const context: Context = {
    host,
    policy,
    roster,
    desks,
    memory,
    candidates,
    doubts,
    ledger: createLedger(),
    network: () => network,
    mayUse(rank) {
      if (session === undefined) return false
      if (clock.monotonicMs() - session.searchedMs >= policy.windowMs) return true
      return roster.entries.every((entry) => entry.rank >= rank || entry.settled || isNoMapper(entry))
    },
    firstPassOver: () => session?.passOver ?? false,
    emit(event) {
      if (event.event === 'verified') rememberVerified(event)
      fire(event.event, event)
      touched()
    },
    touched: () => touched()
  }
  const verifier = createVerifier(context)
  const relays = createRelays(
    context,
    () => session?.publicSinceMs,
    () => memory.all().some(({ verifiedAt }) => verifiedAt !== null && clock.wallMs() - verifiedAt < dayMs)
  )
  const recoveries = createRecoveries(host, policy, (gateway, why) => {
    for (const holding of session?.holdings.values() ?? []) {
      if (holding.held() !== undefined && !heldAt(holding, gateway)) continue
      if (why === 'restarted') holding.gatewayForgot()
      else holding.ring('check')
    }
    verifier.doubt()
  })
  const reviewer = createReviewer(clock, review)

  function rememberVerified({ protocol, internal }: MappingEvent): void {
    for (const each of memory.all()) {
      const { endpoint } = each
      if (endpoint.protocol !== protocol || endpoint.address !== internal.address || endpoint.port !== internal.port)
        continue
      memory.note(each, { verifiedAt: clock.wallMs() })
    }
  }

  function touched(): void {
    if (session !== undefined) reviewer.soon(session.cut)
  }

  /** Looks at what has changed: whether the first pass is over, the verdict, who is to be verified. */
  function review(): void {
    if (session === undefined) return
    const { holdings, searchedMs } = session
    const elapsed = clock.monotonicMs() - searchedMs
    const settled = roster.entries.every((entry) => entry.settled || isNoMapper(entry)) || elapsed >= policy.firstPassMs
    if (
      !session.passOver &&
      settled &&
      !doubts.isLooking() &&
      [...holdings.values()].every((holding) => holding.atRest())
    ) {
      session.passOver = true
      session.firstPass.resolve()
      for (const holding of holdings.values()) holding.ring('look')
    }
    verifier.review(session.cut)
    for (const entry of roster.entries) {
      const described = describeStrategy(entry, network, wanted.size > 0)
      const text = JSON.stringify(described)
      if (lines.get(entry) === text) continue
      lines.set(entry, text)
      for (const line of described) fire('strategy', line)
    }
    const report = describe()
    if (report.verdict !== 'public') session.publicSinceMs = undefined
    else session.publicSinceMs ??= clock.monotonicMs()
    const { verdict, cause, externalAddresses } = report
    if (reviewer.isNews(JSON.stringify([verdict, cause, externalAddresses]))) {
      relays.look()
      fire('verdict', report)
    }
  }

  function describe(): Report {
    const described = candidates.all().map((candidate) => describeCandidate(candidate, candidates))
    const [gateway] = network.gateways
    const judgement = judge({
      network,
      wants: [...wanted.values()].map(({ want }) => want),
      entries: roster.entries,
      candidates: described,
      relays: relays.count(),
      doubts: doubts.reasons(),
      firstPassOver: session?.passOver ?? false,
      hasWitnessStrategy: roster.entries.some(({ kind }) => kind === 'witness'),
      witnessNetworks: verifier.witnessNetworks(),
      quorum: policy.quorum,
      witnessesOverdue: session !== undefined && clock.monotonicMs() - session.searchedMs >= policy.unverifiedAfterMs
    })
    return {
      schemaVersion: 1,
      ...judgement,
      gateway: gateway === undefined ? null : describeGateway(gateway),
      externalAddresses: described.filter(({ state }) => state !== 'refuted').map(({ address }) => address),
      nat: null,
      strategies: roster.entries.flatMap((entry) => describeStrategy(entry, network, wanted.size > 0)),
      candidates: described
    }
  }

  function track(open: Session, work: Promise<unknown>): void {
    const kept: Promise<unknown> = work
      .catch((error: unknown) => {
        if (!open.cut.signal.aborted) host.log.info(`a part of the ladder failed: ${String(error)}`)
      })
      .finally(() => open.running.delete(kept))
    open.running.add(kept)
  }

  /** Looks at the network anew: what was found on the old one counts no more. */
  function search(open: Session): void {
    open.search.abort()
    open.search = new AbortController()
    const { signal } = open.search
    open.searchedMs = clock.monotonicMs()
    doubts.reset()
    open.passOver = false
    track(open, roster.search(network, AbortSignal.any([signal, open.cut.signal])))
    for (const afterMs of [policy.windowMs, policy.firstPassMs, policy.unverifiedAfterMs]) {
      const wake = async (): Promise<void> => {
        await clock.sleep(afterMs, { signal: AbortSignal.any([signal, open.cut.signal]) })
        for (const holding of open.holdings.values()) holding.ring('look')
        relays.look()
        touched()
      }
      track(
        open,
        wake().catch(() => undefined)
      )
    }
    refreshLocal(
      candidates,
      [...wanted.values()].map(({ want }) => want),
      network
    )
  }

  function hold(open: Session, key: string, { want, cut }: Wanted): void {
    const holding = createHolding(want, context)
    open.holdings.set(key, holding)
    const run = async (): Promise<void> => {
      await holding.run({ signal: AbortSignal.any([open.cut.signal, cut.signal]) })
      if (open.cut.signal.aborted) return
      // Not wanted any more, while everything else goes on.
      open.holdings.delete(key)
      await release(holding, new AbortController().signal)
      touched()
    }
    track(open, run())
  }

  async function release(holding: Holding, signal: AbortSignal): Promise<void> {
    await holding.release({ signal }).catch((error: unknown) => {
      host.log.info(`a mapping was not released and will lapse: ${String(error)}`)
    })
  }

  function isWanted({ endpoint }: Memory): boolean {
    return [...wanted.values()].some(
      ({ want }) =>
        want.endpoint.protocol === endpoint.protocol &&
        want.endpoint.port === endpoint.port &&
        (isWildcard(want.endpoint.address) ||
          canonicalAddress(want.endpoint.address) === canonicalAddress(endpoint.address))
    )
  }

  async function begin(): Promise<void> {
    await stopping
    if (session !== undefined) return
    const open: Session = {
      cut: new AbortController(),
      holdings: new Map(),
      running: new Set(),
      firstPass: Promise.withResolvers(),
      search: new AbortController(),
      searchedMs: 0,
      passOver: false,
      publicSinceMs: undefined,
      seen: { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() }
    }
    await memory.open()
    session = open
    lines = new Map()
    search(open)
    for (const [key, each] of wanted) hold(open, key, each)
    track(open, relays.run(open.cut))
    const tidyUp = async (): Promise<void> => {
      await clock.sleep(policy.tidyAfterMs, open.cut)
      await tidy(context, isWanted, open.cut)
    }
    track(
      open,
      tidyUp().catch(() => undefined)
    )
    touched()
  }

  async function end(open: Session): Promise<void> {
    open.cut.abort()
    open.search.abort()
    await Promise.all(open.running)
    const bound = new AbortController()
    const over = new AbortController()
    const limit = clock.sleep(policy.stopMs, over).then(
      () => bound.abort(),
      () => undefined
    )
    await Promise.all([
      ...[...open.holdings.values()].map((holding) => release(holding, bound.signal)),
      relays.release()
    ])
    over.abort()
    await limit
    await memory.close()
    for (const { address } of candidates.all()) candidates.withdraw(address)
    open.firstPass.resolve()
    session = undefined
  }

  return {
    ...target,
    want(endpoint, { signal, externalPort, lifetimeMs = policy.lifetimeMs } = {}) {
      checkEndpoint(endpoint)
      if (externalPort !== undefined) checkPort('externalPort', externalPort)
      if (signal?.aborted === true) return
      const key = wantKey(endpoint)
      const known = wanted.get(key)
      const entry = known ?? { want: { endpoint, externalPort, lifetimeMs }, cut: new AbortController(), users: 0 }
      entry.users++
      signal?.addEventListener('abort', () => {
        if (--entry.users > 0) return
        wanted.delete(key)
        entry.cut.abort()
      })
      if (known !== undefined) return
      wanted.set(key, entry)
      if (session === undefined) return
      hold(session, key, entry)
      refreshLocal(
        candidates,
        [...wanted.values()].map(({ want }) => want),
        network
      )
    },
    networkIs(next) {
      const same = isSameNetwork(next, network)
      network = next
      if (session === undefined) return
      const { seen } = session
      const slept = elapsedMs(clock, seen) - (clock.monotonicMs() - seen.monotonicMs) > sleptMs
      session.seen = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() }
      if (!same) {
        search(session)
        for (const holding of session.holdings.values()) holding.ring('look')
      }
      if (same && !slept) return
      for (const gateway of network.gateways) recoveries.trigger(gatewayKey(gateway), 'hint', session.search)
    },
    start() {
      starting ??= begin()
      return starting
    },
    async stop() {
      await starting
      starting = undefined
      if (session === undefined) return
      const open = session
      stopping ??= end(open).finally(() => {
        stopping = undefined
      })
      await stopping
    },
    async firstPass() {
      await starting
      await session?.firstPass.promise
    },
    recheck() {
      for (const holding of session?.holdings.values() ?? []) holding.ring('check')
    },
    report: describe
  }
}

/** A hardware address that is only now known, or no longer, is no change; another one is. */
function isSameNetwork(one: Network, other: Network): boolean {
  const known = one.gateways.every(({ mac }, index) => mac !== undefined && other.gateways[index]?.mac !== undefined)
  const comparable = ({ gateways, addresses }: Network): string =>
    JSON.stringify([gateways.map(({ mac, ...gateway }) => (known ? { ...gateway, mac } : gateway)), addresses])
  return comparable(one) === comparable(other)
}

/** Strategies that look for parties elsewhere hold nobody back: they take seconds. */
const isNoMapper = ({ kind }: Entry): boolean => kind !== null && kind !== 'mapper'
