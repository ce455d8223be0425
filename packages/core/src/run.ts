import { type CallOptions, type Family, hasNextHop, natError, type Network, printable } from '@postern/interface'
import type { ShutdownScope, Context } from './context.js'
import { createEndpointMapping, gatewayKeyOf, type EndpointMapping } from './mapping/map-endpoint.js'
import type { Observers } from './nat/observe.js'
import type { GatewayRecovery } from './mapping/gateway-recovery.js'
import type { Reservations } from './relay/reservations.js'
import { gatewayKey } from './discovery/discoveries.js'
import { createSearchPace } from './discovery/search-interval.js'
import { deleteStale } from './mapping/delete-stale.js'
import type { Verifier } from './verification/verifier.js'
import type { WantedEndpoints } from './discovery/wanted-endpoints.js'
import { primaryGateway, type WantedEndpoint } from './discovery/endpoints.js'

/** One run of the ladder, from `start` to `stop`. */
export interface Run extends CallOptions {
  readonly searchedMs: () => number
  readonly isPassOver: () => boolean
  /** Resolves when the first pass ends, or the run does. */
  readonly firstPass: Promise<void>
  readonly endpointMappings: () => Iterable<EndpointMapping>
  hold(want: WantedEndpoint): void
  drop(want: WantedEndpoint): void
  /** Whether a lease of this gateway is held. */
  isHeldAt(gateway: string): boolean
  /** Handles a change of the network in these families; in none if the machine was suspended. */
  networkChanged(before: Network, changed: readonly Family[]): void
  /** Ends the first pass if everything that can be tried at once has been. */
  review(): void
  /** Aborts the run; no new work starts after this. */
  abort(): void
  /** Releases everything. Nothing runs after it has resolved. */
  end(): Promise<void>
}

export interface RunParts {
  readonly context: Context
  readonly relays: Reservations
  readonly gatewayRecovery: GatewayRecovery
  readonly verifier: Verifier
  readonly observers: Observers
  readonly wanted: WantedEndpoints
}

/** Created once, because abort() without a reason creates an error with a stack trace each time. */
const stopped = new Error('the traversal was stopped')
const unwanted = new Error('the endpoint is no longer wanted')
const replaced = new Error('the network has changed')

/** Releasing takes a router about as long as granting, so `stop()` waits this many times its slowest answer. */
const slowFactor = 3

/** Creates a run. The context must know it before `begin` is called. */
export function createRun(parts: RunParts, cut: AbortController): Run & { begin(): void } {
  const { context, relays, gatewayRecovery, verifier, observers, wanted } = parts
  const { host, policy, discoveries, hostCandidates, claimChecks, network } = context
  const { clock } = host
  /** Aborts when the time for releasing is over. */
  const bound = new AbortController()
  const endpointMappings = new Map<
    WantedEndpoint,
    { readonly endpointMapping: EndpointMapping; readonly cut: AbortController }
  >()
  const running = new Set<Promise<unknown>>()
  const firstPass = Promise.withResolvers<void>()
  let searching = new AbortController()
  let searchedMs = Number.NEGATIVE_INFINITY
  let isPassOver = false
  const pace = createSearchPace(clock, policy)
  /** The scheduled search. Its timer is aborted when the search begins or an earlier one replaces it. */
  let due: { readonly atMs: number; readonly cut: AbortController } | undefined

  function track(work: Promise<unknown>): void {
    const kept: Promise<unknown> = work
      .catch((error: unknown) => {
        if (!cut.signal.aborted) host.log.info(`a part of the ladder failed: ${printable(String(error))}`)
      })
      .finally(() => running.delete(kept))
    running.add(kept)
  }

  const shutdown: ShutdownScope = { signal: bound.signal, track }

  function later(ms: number, call: CallOptions, then: () => void): void {
    track(clock.sleep(ms, call).then(then, () => undefined))
  }

  function ringAll(why: 'rescan' | 'recheck'): void {
    for (const { endpointMapping } of endpointMappings.values()) endpointMapping.wake(why)
  }

  /** Starts discovery on the current network. Findings of the old network no longer count. */
  function search(): void {
    due?.cut.abort(replaced)
    due = undefined
    pace.searched()
    searching.abort(replaced)
    searching = new AbortController()
    searchedMs = clock.monotonicMs()
    isPassOver = false
    claimChecks.reset(cut)
    observers.reset()
    track(discoveries.search(network(), searching.signal))
    for (const afterMs of [policy.windowMs, policy.firstPassMs, policy.unverifiedAfterMs, policy.searchMs]) {
      later(afterMs, searching, () => {
        ringAll('rescan')
        relays.look()
        context.touched()
      })
    }
  }

  /** Schedules a search, so that a flapping network is not searched at every change. A network that has just come up
   * is searched soon. */
  function searchSoon(before: Network, changed: readonly Family[]): void {
    const waitMs = pace.changed(changed, !before.gateways.some(hasNextHop))
    if (waitMs <= 0) return search()
    const atMs = clock.monotonicMs() + waitMs
    if (due !== undefined && due.atMs <= atMs) return
    due?.cut.abort(replaced)
    const own = new AbortController()
    due = { atMs, cut: own }
    later(waitMs, { signal: own.signal }, search)
  }

  function hold(want: WantedEndpoint): void {
    if (cut.signal.aborted) return
    const endpointMapping = createEndpointMapping(want, context)
    const own = new AbortController()
    endpointMappings.set(want, { endpointMapping, cut: own })
    track(
      endpointMapping.run(own, shutdown).finally(() => {
        endpointMappings.delete(want)
        context.touched()
      })
    )
  }

  function abort(): void {
    if (cut.signal.aborted) return
    cut.abort(stopped)
    searching.abort(stopped)
    due?.cut.abort(stopped)
    for (const each of endpointMappings.values()) each.cut.abort(stopped)
  }

  return {
    signal: cut.signal,
    firstPass: firstPass.promise,
    searchedMs: () => searchedMs,
    isPassOver: () => isPassOver,
    *endpointMappings() {
      for (const { endpointMapping } of endpointMappings.values()) yield endpointMapping
    },
    hold,
    drop: (want) => endpointMappings.get(want)?.cut.abort(unwanted),
    abort,
    begin() {
      search()
      for (const want of wanted.all()) hold(want)
      track(relays.run(cut, shutdown))
      later(policy.tidyAfterMs, cut, () => track(deleteStale(context, wanted, cut)))
      context.touched()
    },
    isHeldAt: (gateway) =>
      [...endpointMappings.values()].some(({ endpointMapping }) => gatewayKeyOf(endpointMapping) === gateway),
    networkChanged(before, changed) {
      if (cut.signal.aborted) return
      if (changed.length > 0) {
        searchSoon(before, changed)
        hostCandidates.refresh()
        ringAll('rescan')
      }
      const primary = ([4, 6] as const).flatMap((family) => primaryGateway(network(), family) ?? [])
      const gateways = new Set(primary.map(gatewayKey))
      // Include gateways that the user named and that are not next hops.
      for (const { endpointMapping } of endpointMappings.values()) {
        const gateway = gatewayKeyOf(endpointMapping)
        if (gateway !== undefined) gateways.add(gateway)
      }
      for (const gateway of gateways) gatewayRecovery.trigger(gateway, 'hint', cut)
    },
    review() {
      if (isPassOver) return
      const isLate = clock.monotonicMs() - searchedMs >= policy.firstPassMs
      const isSettled = isLate || discoveries.entries.every((entry) => entry.settled || isNotMapper(entry))
      if (!isSettled || claimChecks.isLooking()) return
      for (const { endpointMapping } of endpointMappings.values()) if (!endpointMapping.atRest()) return
      isPassOver = true
      firstPass.resolve()
      ringAll('rescan')
    },
    async end() {
      abort()
      const over = new AbortController()
      const stopMs = Math.max(policy.stopMs, Math.min(policy.slowStopMs, slowFactor * context.queues.slowestMs()))
      const late = natError('ATTEMPT_TIMEOUT', `the traversal was stopped, and ${stopMs} ms are over`)
      const limit = clock.sleep(stopMs, over).then(
        () => bound.abort(late),
        () => undefined
      )
      while (running.size > 0) await Promise.all(running)
      await Promise.all([verifier.settled(), observers.settled(), claimChecks.settled()])
      over.abort(stopped)
      await limit
      bound.abort(late)
      firstPass.resolve()
    }
  }
}

/** Whether a strategy maps no ports. Relay, witness and STUN discovery takes seconds, so the first pass does not
 * wait for it. */
export const isNotMapper = ({ kind }: { readonly kind: string | null }): boolean => kind !== null && kind !== 'mapper'
