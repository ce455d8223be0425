import {
  abortReason,
  type CallOptions,
  type Endpoint,
  type Forwarder,
  type ForwardLease,
  isGlobal,
  isMultiaddrText,
  isWildcard,
  type NatError,
  natError
} from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import type { Context, ShutdownScope } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { isSameListener, ownPort, type WantedEndpoint } from '../discovery/endpoints.js'
import { wasVerified } from '../memory/last-verified.js'
import { eventReason } from '../model/events.js'
import { demandNow } from './demand.js'
import { createForwardBackoff } from './forward-backoff.js'
import { type Forward, keepForward } from './keep-forward.js'
import { createForwardPublisher } from './publish-forward.js'
import { createServedEndpoints } from './served-endpoints.js'

/** Keeps ports of other hosts for the wanted endpoints: taken early, and given back when a direct address is verified. */
export interface Forwards {
  /** Takes and keeps ports for an endpoint until `call` aborts, then gives them back; `shutdown` bounds that. */
  keep(want: WantedEndpoint, call: CallOptions, shutdown: ShutdownScope): Promise<void>
  /** Checks that every port still leads here: the network has changed, or the machine was suspended. */
  recheck(): void
  /** Whether a port has been asked for and not answered for an endpoint that has none. */
  isWaiting(): boolean
  /** Returns the number of ports that are held at addresses that hosts on the internet can reach. */
  count(): number
}

interface Choice {
  readonly entry: StrategyEntry
  readonly forwarder: Forwarder
}

const notNeeded = abortReason('the port of the other host is not needed')

/** @param isWanted - whether exactly this endpoint is wanted, or its port on the wildcard address */
export function createForwards(context: Context, isWanted: (endpoint: Endpoint) => boolean): Forwards {
  const { host, policy, bus, requests, discoveries, candidates, memory } = context
  const { clock } = host
  const wakeups = new Set<Wakeup>()
  const held = new Set<Forward>()
  /** The endpoints without a port for which one has been asked for. */
  const waiting = new Set<WantedEndpoint>()
  const publisher = createForwardPublisher(context)

  const served = createServedEndpoints(context)
  const hasForwarders = (): boolean =>
    discoveries.entries.some(({ kind, abilities }) => kind === 'forwarder' && abilities.size > 0)

  function wakeAll(): void {
    if (!hasForwarders()) return
    for (const wakeup of wakeups) wakeup.wake('rescan')
  }
  bus.on('strategyChanged', wakeAll)
  bus.on('searchAdvanced', wakeAll)
  bus.on('reviewed', () => {
    if (hasForwarders() && served.look()) wakeAll()
  })

  async function keep(want: WantedEndpoint, { signal }: CallOptions, shutdown: ShutdownScope): Promise<void> {
    const wakeup = createWakeup(clock)
    const backoff = createForwardBackoff(policy, clock)
    const own = new Map<string, Forward>()
    /** The parties that have been asked and have not answered. */
    const asked = new Map<string, Promise<void>>()
    const lastPorts = new Map<string, number>()
    let startedMs = clock.monotonicMs()
    let servedSinceMs: number | undefined
    let reported = ''

    function choose(): { readonly choice?: Choice; readonly waitMs: number } {
      const networks = new Set([...own.values()].map(({ forwarder }) => forwarder.party.network))
      let waitMs = Number.POSITIVE_INFINITY
      for (const entry of discoveries.entries) {
        for (const ability of entry.abilities.values()) {
          if (ability.kind !== 'forwarder' || !ability.protocols.includes(want.endpoint.protocol)) continue
          const { id, network } = ability.party
          if (asked.has(id) || networks.has(network)) continue
          const restsMs = backoff.leftMs(id)
          if (restsMs <= 0) return { choice: { entry, forwarder: ability }, waitMs }
          waitMs = Math.min(waitMs, restsMs)
        }
      }
      return { waitMs }
    }

    function begin(choice: Choice): void {
      const { id } = choice.forwarder.party
      const work = take(choice)
        .catch(() => undefined)
        .finally(() => {
          asked.delete(id)
          if (asked.size === 0 || own.size > 0) waiting.delete(want)
          wakeup.wake('rescan')
        })
      asked.set(id, work)
      if (own.size === 0) waiting.add(want)
    }

    async function take({ entry, forwarder }: Choice): Promise<void> {
      const { id } = forwarder.party
      const endpoint = carriedTo(want.endpoint)
      const suggestedExternalPort = lastPorts.get(id) ?? want.externalPort ?? ownPort(endpoint.port)
      const late = (lease: ForwardLease): void => shutdown.track(publisher.release(entry, lease, shutdown).then(ignore))
      entry.status.requestSent()
      try {
        const lease = await requests.attempt(
          { strategy: entry.name, verb: 'forward' },
          (call) => forwarder.forward({ endpoint, suggestedExternalPort }, call),
          forwarder.timeoutMs ?? policy.verbMs,
          { signal },
          late
        )
        await checkLease(lease, () => publisher.release(entry, lease, shutdown))
        entry.status.succeeded()
        reported = ''
        const forward: Forward = {
          entry,
          forwarder,
          want,
          endpoint,
          lease,
          wakeup: createWakeup(clock),
          controller: new AbortController()
        }
        own.set(id, forward)
        shutdown.track(hold(forward))
      } catch (error) {
        signal.throwIfAborted()
        const failure = asNatError(error)
        entry.status.failed(failure)
        backoff.refused(id, failure)
        tellFailure(entry, failure)
      } finally {
        entry.status.requestAnswered()
        bus.emit('reportChanged', undefined)
      }
    }

    /** Keeps a port until it is lost or not needed. */
    async function hold(forward: Forward): Promise<void> {
      const { id } = forward.forwarder.party
      const sinceMs = clock.monotonicMs()
      held.add(forward)
      publisher.publish(forward, undefined)
      try {
        const why = await keepForward(forward, context, publisher, { signal }, shutdown)
        own.delete(id)
        held.delete(forward)
        publisher.withdraw(forward, why)
        lastPorts.set(id, publisher.external(forward).port)
        forward.entry.status.failed(why)
        publisher.tell('lost', forward, why)
        backoff.lost(id, clock.monotonicMs() - sinceMs)
        // The other host may have lost the port without giving it up.
        await publisher.release(forward.entry, forward.lease, shutdown)
      } catch (error) {
        own.delete(id)
        held.delete(forward)
        publisher.withdraw(forward)
        const isReleased = await publisher.release(forward.entry, forward.lease, shutdown)
        if (isReleased) publisher.tell('released', forward)
        if (!signal.aborted && !forward.controller.signal.aborted) throw error
      } finally {
        held.delete(forward)
        wakeup.wake('rescan')
        bus.emit('reportChanged', undefined)
      }
    }

    /** Reports a failure once, if there is no other way in. */
    function tellFailure(entry: StrategyEntry, failure: NatError): void {
      const text = `${entry.name} ${failure.code}`
      const isMapped = candidates.all().some(({ type, endpoint }) => type !== 'local' && isSameListener(endpoint, want))
      if (own.size > 0 || isMapped || text === reported) return
      reported = text
      publisher.tellFailure(want, [eventReason(entry.name, failure)])
    }

    /** Notes since when a direct address of this endpoint is verified. */
    function look(): void {
      const isServed = served.has(want.endpoint)
      const now = clock.monotonicMs()
      // The direct address was lost: start again, without the initial delay, because this way in is needed now.
      if (!isServed && servedSinceMs !== undefined) startedMs = now - policy.relay.initialDelayMs
      servedSinceMs = isServed ? (servedSinceMs ?? now) : undefined
    }

    /** The listener of both families is carried once. */
    const isCarriedAlready = (): boolean =>
      want.endpoint.family === 6 &&
      isWildcard(want.endpoint.address) &&
      isWanted({ ...want.endpoint, family: 4, address: '0.0.0.0' })

    wakeups.add(wakeup)
    while (!signal.aborted) {
      look()
      const max = isCarriedAlready() ? 0 : maxForwards(context)
      if (max === 0 || !hasForwarders()) {
        await wakeup.wait(Number.POSITIVE_INFINITY, { signal }).catch(() => undefined)
        continue
      }
      const nowMs = clock.monotonicMs()
      const times = { nowMs, startedMs, servedSinceMs, wasVerified: wasVerified(memory, clock) }
      const { count, waitMs } = demandNow(times, policy.relay, own.size, max)
      const { choice, waitMs: restMs } = own.size + asked.size < count ? choose() : { waitMs: Number.POSITIVE_INFINITY }
      if (choice !== undefined) {
        begin(choice)
        continue
      }
      for (const { controller } of [...own.values()].slice(count)) controller.abort(notNeeded)
      await wakeup.wait(Math.min(waitMs, restMs), { signal }).catch(() => undefined)
    }
    wakeups.delete(wakeup)
    await Promise.all(asked.values())
  }

  return {
    keep,
    recheck() {
      for (const { wakeup } of held) wakeup.wake('recheck')
    },
    // The other host may be reached through a VPN or in this network, where its address is a private one.
    isWaiting: () => waiting.size > 0,
    count: () => [...held].filter((each) => isGlobal(publisher.external(each).address)).length
  }
}

/** Returns how many ports to hold for one endpoint: the number that the user named, or else that of the policy. */
function maxForwards({ discoveries, policy }: Context): number {
  const counts = discoveries.entries.flatMap(({ kind, count }) =>
    kind === 'forwarder' && count !== undefined ? [count] : []
  )
  return counts.length === 0 ? policy.relay.count : Math.max(...counts)
}

/** Returns the address that connections are carried to. The loopback address of a listener on all addresses does not
 * change with the network. */
const carriedTo = (endpoint: Endpoint): Endpoint =>
  isWildcard(endpoint.address) ? { ...endpoint, address: endpoint.family === 4 ? '127.0.0.1' : '::1' } : endpoint

async function checkLease(lease: ForwardLease, release: () => Promise<unknown>): Promise<void> {
  const { addresses, lifetimeMs, ended } = lease
  if (addresses.length > 0 && addresses.every(isMultiaddrText) && lifetimeMs > 0 && ended instanceof AbortSignal) return
  await release()
  throw natError('GRANT_INVALID', 'the forwarder granted an invalid address, none, or no lifetime')
}

const ignore = (): void => undefined
