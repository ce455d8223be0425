import {
  abortReason,
  type CallOptions,
  type Endpoint,
  type Family,
  hasNextHop,
  type Network,
  natError,
  printable
} from '@postern/interface'
import type { Context, ShutdownScope } from './context.js'
import { type DiscoveryNotice, gatewayKey, type StrategyEntry } from './discovery/discoveries.js'
import { isOnPath, primaryGateway, type WantedEndpoint } from './discovery/endpoints.js'
import { createSearchPace } from './discovery/search-interval.js'
import { isNotMapper } from './discovery/search-progress.js'
import type { WantedEndpoints } from './discovery/wanted-endpoints.js'
import { deleteStale } from './mapping/delete-stale.js'
import type { GatewayRecovery } from './mapping/gateway-recovery.js'
import { createEndpointMapping, type EndpointMapping, gatewayKeyOf } from './mapping/map-endpoint.js'
import type { Observers } from './nat/observe.js'
import type { Reservations } from './relay/reservations.js'
import type { Signals } from './signals.js'
import type { Verifier } from './verification/verifier.js'

/** One run of the ladder, from `start` to `stop`. */
export interface Run extends CallOptions {
  /** Resolves when the first pass ends, or the run does. */
  readonly firstPass: Promise<void>
  hold(want: WantedEndpoint): void
  drop(want: WantedEndpoint): void
  /** Wakes the loops of all endpoints: `rescan` to choose among the strategies again, `recheck` to poll the leases. */
  wakeAll(why: 'rescan' | 'recheck'): void
  /** Polls the lease of an endpoint at its gateway. */
  recheck(endpoint: Endpoint): void
  /** Asks a gateway again for everything that it granted. */
  recover(doubted: Signals['gatewayDoubted']): void
  /** Acts on what a strategy has heard of a gateway. */
  noticed(entry: StrategyEntry, notice: DiscoveryNotice): void
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
  readonly reservations: Reservations
  readonly gatewayRecovery: GatewayRecovery
  readonly verifier: Verifier
  readonly observers: Observers
  readonly wanted: WantedEndpoints
}

const stopped = abortReason('the traversal was stopped')
const unwanted = abortReason('the endpoint is no longer wanted')
const replaced = abortReason('the network has changed')

/** Releasing takes a router about as long as granting, so `stop()` waits this many times its slowest answer. */
const slowFactor = 3

/** Creates a run. It starts with `begin`, once the signals of its parts can reach it. */
export function createRun(parts: RunParts, cut: AbortController): Run & { begin(): void } {
  const { context, reservations, gatewayRecovery, verifier, observers, wanted } = parts
  const { host, policy, bus, discoveries, progress, hostCandidates, claimChecks, network } = context
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

  function wakeAll(why: 'rescan' | 'recheck'): void {
    for (const { endpointMapping } of endpointMappings.values()) endpointMapping.wake(why)
  }

  /** Starts discovery on the current network. Findings of the old network no longer count. */
  function search(): void {
    due?.cut.abort(replaced)
    due = undefined
    pace.searched()
    searching.abort(replaced)
    searching = new AbortController()
    progress.began()
    claimChecks.reset(cut)
    observers.reset()
    track(discoveries.search(network(), searching.signal))
    for (const afterMs of [policy.preferenceWindowMs, policy.firstPassMs, policy.unverifiedAfterMs, policy.searchMs]) {
      later(afterMs, searching, () => {
        wakeAll('rescan')
        bus.emit('searchAdvanced', undefined)
        bus.emit('reportChanged', undefined)
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
        bus.emit('reportChanged', undefined)
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

  const isHeldAt = (gateway: string): boolean =>
    [...endpointMappings.values()].some(({ endpointMapping }) => gatewayKeyOf(endpointMapping) === gateway)

  function recover({ gateway, why, toldMs }: Signals['gatewayDoubted']): void {
    for (const { endpointMapping } of endpointMappings.values()) {
      if (endpointMapping.held() !== undefined && gatewayKeyOf(endpointMapping) !== gateway) continue
      if (why === 'restarted') endpointMapping.gatewayForgot(toldMs)
      else endpointMapping.wake('recheck')
    }
    bus.emit('doubted', undefined)
  }

  return {
    signal: cut.signal,
    firstPass: firstPass.promise,
    wakeAll,
    recover,
    recheck(endpoint) {
      for (const { endpointMapping } of endpointMappings.values())
        if (endpointMapping.isOf(endpoint)) endpointMapping.wake('recheck')
    },
    noticed(entry, { what, about }) {
      if (what === 'upgrade' || what === 'gone') return
      host.log.info(`${entry.name}: the ${about.kind} says: ${what}`)
      if (about.kind !== 'mapper' || about.gateway === null) return
      const gateway = gatewayKey(about.gateway)
      // Ignore a router that is not in use.
      if (!isOnPath(about, entry, network()) && !isHeldAt(gateway)) return
      gatewayRecovery.trigger(gateway, what === 'restarted' ? 'restarted' : 'hint', cut, entry.name)
    },
    hold,
    drop: (want) => endpointMappings.get(want)?.cut.abort(unwanted),
    abort,
    begin() {
      search()
      for (const want of wanted.all()) hold(want)
      track(reservations.run(cut, shutdown))
      later(policy.staleCleanupDelayMs, cut, () => track(deleteStale(context, wanted, cut)))
      bus.emit('reportChanged', undefined)
    },
    networkChanged(before, changed) {
      if (cut.signal.aborted) return
      if (changed.length > 0) {
        searchSoon(before, changed)
        hostCandidates.refresh()
        wakeAll('rescan')
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
      if (progress.isPassOver()) return
      const isLate = clock.monotonicMs() - (progress.searchedMs() ?? 0) >= policy.firstPassMs
      const isSettled = isLate || discoveries.entries.every((entry) => entry.settled || isNotMapper(entry))
      if (!isSettled || claimChecks.isLooking()) return
      for (const { endpointMapping } of endpointMappings.values()) if (!endpointMapping.atRest()) return
      progress.passEnded()
      firstPass.resolve()
      wakeAll('rescan')
    },
    async end() {
      abort()
      const over = new AbortController()
      const stopMs = Math.max(
        policy.stopTimeoutMs,
        Math.min(policy.slowStopMs, slowFactor * context.queues.slowestMs())
      )
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
