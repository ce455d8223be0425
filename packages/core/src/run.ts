import {
  abortReason,
  type CallOptions,
  type Endpoint,
  type Family,
  type Network,
  natError,
  printable
} from '@postern/interface'
import { type ChainedMapping, createChainedMapping } from './beyond/chained-mapping.js'
import type { RoutersBeyond } from './beyond/routers-beyond.js'
import type { Context, ShutdownScope } from './context.js'
import { type DiscoveryNotice, gatewayKey, type StrategyEntry } from './discovery/discoveries.js'
import { isOnPath, primaryGateway, type WantedEndpoint } from './discovery/endpoints.js'
import { isNotMapper } from './discovery/search-progress.js'
import { createSearchSchedule } from './discovery/search-schedule.js'
import type { WantedEndpoints } from './discovery/wanted-endpoints.js'
import { deleteStale } from './mapping/delete-stale.js'
import type { GatewayRecovery } from './mapping/gateway-recovery.js'
import { type EndpointMapping, gatewayKeyOf } from './mapping/map-endpoint.js'
import type { ExternalView } from './nat/external-view.js'
import type { Forwards } from './relay/forwards.js'
import type { Reservations } from './relay/reservations.js'
import type { Signals } from './signals.js'
import type { Verifier } from './verification/verifier.js'

/** One run of the ladder, from `start` to `stop`. */
export interface Run extends CallOptions {
  /** Resolves when the first pass ends, or the run does. */
  readonly firstPass: Promise<void>
  /** Maps an endpoint until it is removed. */
  add(want: WantedEndpoint): void
  remove(want: WantedEndpoint): void
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
  /** Looks again whether the next hop holds the external addresses that it claims. */
  claimChecked(): void
  /** Tells the grants that were held back, and ends the first pass if everything that can be tried at once has been. */
  review(): void
  /** Aborts the run; no new work starts after this. */
  abort(): void
  /** Releases everything. Nothing runs after it has resolved. */
  end(): Promise<void>
}

export interface RunParts {
  readonly context: Context
  readonly routersBeyond: RoutersBeyond
  readonly reservations: Reservations
  readonly forwards: Forwards
  readonly gatewayRecovery: GatewayRecovery
  readonly verifier: Verifier
  readonly externalView: ExternalView
  readonly wanted: WantedEndpoints
}

const stopped = abortReason('the traversal was stopped')
const unwanted = abortReason('the endpoint is no longer wanted')

/** Releasing takes a router about as long as granting, so `stop()` waits this many times its slowest answer. */
const slowFactor = 3

/** Creates a run. It starts with `begin`, once the signals of its parts can reach it. */
export function createRun(parts: RunParts, controller: AbortController): Run & { begin(): void } {
  const { context, routersBeyond, reservations, forwards, gatewayRecovery, verifier, externalView, wanted } = parts
  const { host, policy, bus, discoveries, progress, hostCandidates, claimChecks, network } = context
  const { clock } = host
  /** Aborts when the time for releasing is over. */
  const bound = new AbortController()
  const chainedMappings = new Map<WantedEndpoint, RunningMapping>()
  const running = new Set<Promise<unknown>>()
  const firstPass = Promise.withResolvers<void>()
  /** The families in which the network has changed since the last search. */
  const changedFamilies = new Set<Family>()
  function track(work: Promise<unknown>): void {
    const kept: Promise<unknown> = work
      .catch((error: unknown) => {
        if (!controller.signal.aborted) host.log.info(`a part of the ladder failed: ${printable(String(error))}`)
      })
      .finally(() => running.delete(kept))
    running.add(kept)
  }

  const shutdown: ShutdownScope = { signal: bound.signal, track }

  const endpointMappings = (): readonly EndpointMapping[] =>
    [...chainedMappings.values()].flatMap(({ chainedMapping }) => chainedMapping.levels())

  function wakeAll(why: 'rescan' | 'recheck'): void {
    for (const endpointMapping of endpointMappings()) endpointMapping.wake(why)
  }

  const searches = createSearchSchedule({
    clock,
    policy,
    network,
    discoveries,
    progress,
    track,
    began() {
      claimChecks.reset(controller)
      externalView.searched([...changedFamilies])
      changedFamilies.clear()
    },
    advanced() {
      bus.emit('searchAdvanced', undefined)
      bus.emit('reportChanged', undefined)
    }
  })

  function add(want: WantedEndpoint): void {
    if (controller.signal.aborted) return
    const chainedMapping = createChainedMapping(want, context, routersBeyond)
    const own = new AbortController()
    chainedMappings.set(want, { chainedMapping, controller: own })
    track(forwards.keep(want, own, shutdown))
    track(
      chainedMapping.run(own, shutdown).finally(() => {
        chainedMappings.delete(want)
        bus.emit('reportChanged', undefined)
      })
    )
  }

  function abort(): void {
    if (controller.signal.aborted) return
    controller.abort(stopped)
    searches.abort(stopped)
    for (const each of chainedMappings.values()) each.controller.abort(stopped)
  }

  const isMappedEverywhere = (): boolean =>
    [...chainedMappings.values()].every(({ chainedMapping }) =>
      chainedMapping.levels().some((level) => level.active() !== undefined)
    )

  const isMappedAt = (gateway: string): boolean =>
    endpointMappings().some((endpointMapping) => gatewayKeyOf(endpointMapping) === gateway)

  function recover({ gateway, why, toldMs }: Signals['gatewayDoubted']): void {
    for (const endpointMapping of endpointMappings()) {
      if (endpointMapping.active() !== undefined && gatewayKeyOf(endpointMapping) !== gateway) continue
      if (why === 'restarted') endpointMapping.gatewayForgot(toldMs)
      else endpointMapping.wake('recheck')
    }
    bus.emit('doubted', undefined)
  }

  async function deleteStaleLater(): Promise<void> {
    await clock.sleep(policy.staleCleanupDelayMs, controller).catch(() => undefined)
    if (!controller.signal.aborted) await deleteStale(context, wanted, controller)
  }

  return {
    signal: controller.signal,
    firstPass: firstPass.promise,
    wakeAll,
    recover,
    recheck(endpoint) {
      for (const endpointMapping of endpointMappings())
        if (endpointMapping.isOf(endpoint)) endpointMapping.wake('recheck')
    },
    noticed(entry, { what, about }) {
      if (what === 'upgrade') return
      host.log.info(`${entry.name}: the ${about.kind} says: ${what}`)
      if (about.kind !== 'mapper' || about.gateway === null) return
      const gateway = gatewayKey(about.gateway)
      // Ignore a router that is not in use. After a goodbye over one protocol a mapping over another one may be lost too.
      if (!isOnPath(about, entry, network()) && !isMappedAt(gateway)) return
      gatewayRecovery.trigger(gateway, what === 'restarted' ? 'restarted' : 'hint', controller, entry.name)
    },
    add,
    remove: (want) => chainedMappings.get(want)?.controller.abort(unwanted),
    abort,
    begin() {
      searches.search()
      for (const want of wanted.all()) add(want)
      track(reservations.run(controller, shutdown))
      track(deleteStaleLater())
      bus.emit('reportChanged', undefined)
    },
    networkChanged(before, changed) {
      if (controller.signal.aborted) return
      forwards.recheck()
      if (changed.length > 0) {
        // At once: the search may be due later, and no witness should dial an address of the old network until then.
        externalView.networkChanged(changed)
        for (const family of changed) changedFamilies.add(family)
        searches.networkChanged(before, changed)
        hostCandidates.refresh()
        wakeAll('rescan')
      }
      const primary = ([4, 6] as const).flatMap((family) => primaryGateway(network(), family) ?? [])
      const gateways = new Set(primary.map(gatewayKey))
      // Include gateways that the user named and that are not next hops.
      for (const endpointMapping of endpointMappings()) {
        const gateway = gatewayKeyOf(endpointMapping)
        if (gateway !== undefined) gateways.add(gateway)
      }
      for (const gateway of gateways) gatewayRecovery.trigger(gateway, 'hint', controller)
    },
    claimChecked() {
      for (const { chainedMapping } of chainedMappings.values()) chainedMapping.claimChecked()
    },
    review() {
      for (const { chainedMapping } of chainedMappings.values()) chainedMapping.review()
      if (progress.isPassOver()) return
      const isLate = clock.monotonicMs() - (progress.searchedMs() ?? 0) >= policy.firstPassMs
      const isSettled = isLate || discoveries.entries.every((entry) => entry.settled || isNotMapper(entry))
      if (!isSettled || claimChecks.isLooking()) return
      for (const { chainedMapping } of chainedMappings.values()) if (!chainedMapping.isSettled()) return
      // A port of another host takes a login. Where a router maps, nothing waits for it.
      if (!isLate && forwards.isWaiting() && !isMappedEverywhere()) return
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
      await Promise.all([verifier.settled(), externalView.settled(), claimChecks.settled()])
      over.abort(stopped)
      await limit
      bound.abort(late)
      firstPass.resolve()
    }
  }
}

interface RunningMapping {
  readonly chainedMapping: ChainedMapping
  readonly controller: AbortController
}
