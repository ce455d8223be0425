import { type CallOptions, type Family, hasNextHop, natError, type Network, printable } from '@postern/interface'
import type { Closing, Context } from './context.js'
import { createHolding, heldAt, type Holding } from './holding.js'
import type { Observers } from './observers.js'
import type { Recoveries } from './recovery.js'
import type { Relays } from './relays.js'
import { gatewayKey } from './roster.js'
import { createSearchPace } from './search-pace.js'
import { tidy } from './tidy.js'
import type { Verifier } from './verifier.js'
import type { Wanted } from './wanted.js'
import { primaryGateway, type Want } from './wants.js'

/** One run of the ladder, from `start` to `stop`. */
export interface Session extends CallOptions {
  readonly searchedMs: () => number
  readonly isPassOver: () => boolean
  /** Resolves when the first pass is over, or the session. */
  readonly firstPass: Promise<void>
  readonly holdings: () => Iterable<Holding>
  hold(want: Want): void
  drop(want: Want): void
  /** Whether a lease of this gateway is held. */
  isHeldAt(gateway: string): boolean
  /** The network is another one than before in these families; in none after the machine has slept. */
  networkChanged(before: Network, changed: readonly Family[]): void
  /** Ends the first pass if everything that can be tried at once has been. */
  review(): void
  /** Whatever comes of it, nothing begins any more. */
  abort(): void
  /** Gives everything back. Nothing runs once it has resolved. */
  end(): Promise<void>
}

export interface SessionParts {
  readonly context: Context
  readonly relays: Relays
  readonly recoveries: Recoveries
  readonly verifier: Verifier
  readonly observers: Observers
  readonly wanted: Wanted
}

/** Made once: an abort without a reason makes a new error with its stack. */
const stopped = new Error('the traversal was stopped')
const unwanted = new Error('the endpoint is not wanted any more')
const replaced = new Error('the network is another one')

/** Releasing takes a router about as long as granting: so many times as long as its slowest answer is waited for. */
const slowFactor = 3

/** Starts it. The session must be known to the context when `begin` is called. */
export function createSession(parts: SessionParts, cut: AbortController): Session & { begin(): void } {
  const { context, relays, recoveries, verifier, observers, wanted } = parts
  const { host, policy, roster, locals, doubts, network } = context
  const { clock } = host
  /** Aborted when giving back has taken long enough. */
  const bound = new AbortController()
  const holdings = new Map<Want, { readonly holding: Holding; readonly cut: AbortController }>()
  const running = new Set<Promise<unknown>>()
  const firstPass = Promise.withResolvers<void>()
  let searching = new AbortController()
  let searchedMs = Number.NEGATIVE_INFINITY
  let isPassOver = false
  const pace = createSearchPace(clock, policy)
  /** Aborted when the search that is due begins, or one that is due sooner takes its place. */
  let due: { readonly atMs: number; readonly cut: AbortController } | undefined

  function track(work: Promise<unknown>): void {
    const kept: Promise<unknown> = work
      .catch((error: unknown) => {
        if (!cut.signal.aborted) host.log.info(`a part of the ladder failed: ${printable(String(error))}`)
      })
      .finally(() => running.delete(kept))
    running.add(kept)
  }

  const last: Closing = { signal: bound.signal, track }

  function later(ms: number, call: CallOptions, then: () => void): void {
    track(clock.sleep(ms, call).then(then, () => undefined))
  }

  function ringAll(why: 'look' | 'check'): void {
    for (const { holding } of holdings.values()) holding.ring(why)
  }

  /** Looks at the network anew: what was found on the old one counts no more. */
  function search(): void {
    due?.cut.abort(replaced)
    due = undefined
    pace.searched()
    searching.abort(replaced)
    searching = new AbortController()
    searchedMs = clock.monotonicMs()
    isPassOver = false
    doubts.reset(cut)
    observers.reset()
    track(roster.search(network(), searching.signal))
    for (const afterMs of [policy.windowMs, policy.firstPassMs, policy.unverifiedAfterMs, policy.searchMs]) {
      later(afterMs, searching, () => {
        ringAll('look')
        relays.look()
        context.touched()
      })
    }
  }

  /** A network that flaps is not searched each time. One that has just come up is, soon. */
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

  function hold(want: Want): void {
    if (cut.signal.aborted) return
    const holding = createHolding(want, context)
    const own = new AbortController()
    holdings.set(want, { holding, cut: own })
    track(
      holding.run(own, last).finally(() => {
        holdings.delete(want)
        context.touched()
      })
    )
  }

  function abort(): void {
    if (cut.signal.aborted) return
    cut.abort(stopped)
    searching.abort(stopped)
    due?.cut.abort(stopped)
    for (const each of holdings.values()) each.cut.abort(stopped)
  }

  return {
    signal: cut.signal,
    firstPass: firstPass.promise,
    searchedMs: () => searchedMs,
    isPassOver: () => isPassOver,
    *holdings() {
      for (const { holding } of holdings.values()) yield holding
    },
    hold,
    drop: (want) => holdings.get(want)?.cut.abort(unwanted),
    abort,
    begin() {
      search()
      for (const want of wanted.all()) hold(want)
      track(relays.run(cut, last))
      later(policy.tidyAfterMs, cut, () => track(tidy(context, wanted, cut)))
      context.touched()
    },
    isHeldAt: (gateway) => [...holdings.values()].some(({ holding }) => heldAt(holding) === gateway),
    networkChanged(before, changed) {
      if (cut.signal.aborted) return
      if (changed.length > 0) {
        searchSoon(before, changed)
        locals.refresh()
        ringAll('look')
      }
      const primary = ([4, 6] as const).flatMap((family) => primaryGateway(network(), family) ?? [])
      const gateways = new Set(primary.map(gatewayKey))
      // Also those that were named, and are no next hops.
      for (const { holding } of holdings.values()) {
        const gateway = heldAt(holding)
        if (gateway !== undefined) gateways.add(gateway)
      }
      for (const gateway of gateways) recoveries.trigger(gateway, 'hint', cut)
    },
    review() {
      if (isPassOver) return
      const isLate = clock.monotonicMs() - searchedMs >= policy.firstPassMs
      const isSettled = isLate || roster.entries.every((entry) => entry.settled || isNoMapper(entry))
      if (!isSettled || doubts.isLooking()) return
      for (const { holding } of holdings.values()) if (!holding.atRest()) return
      isPassOver = true
      firstPass.resolve()
      ringAll('look')
    },
    async end() {
      abort()
      const over = new AbortController()
      const stopMs = Math.max(policy.stopMs, Math.min(policy.slowStopMs, slowFactor * context.desks.slowestMs()))
      const late = natError('ATTEMPT_TIMEOUT', `the traversal was stopped, and ${stopMs} ms are over`)
      const limit = clock.sleep(stopMs, over).then(
        () => bound.abort(late),
        () => undefined
      )
      while (running.size > 0) await Promise.all(running)
      await Promise.all([verifier.settled(), observers.settled(), doubts.settled()])
      over.abort(stopped)
      await limit
      bound.abort(late)
      firstPass.resolve()
    }
  }
}

/** Strategies that look for parties elsewhere hold nobody back: they take seconds. */
export const isNoMapper = ({ kind }: { readonly kind: string | null }): boolean => kind !== null && kind !== 'mapper'
