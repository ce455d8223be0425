import {
  abortReason,
  anySignal,
  type CallOptions,
  isMultiaddrText,
  type Lease,
  type NatError,
  natError,
  type Relay,
  type RelayLimits
} from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import type { Context, ShutdownScope } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { keepLease, type LeaseOwner } from '../lease/keep-lease.js'
import { minSpacingMs } from '../lease/renewal-schedule.js'
import { wasVerified } from '../memory/last-verified.js'
import { backOffMs } from '../model/policy.js'
import { awayCodes, demandNow, relayReport } from './demand.js'

/** Keeps reservations at relays: made early, and released when they are not needed. */
export interface Reservations {
  /** Makes, keeps and releases reservations until `call` aborts. `shutdown` bounds the releases. */
  run(call: CallOptions, shutdown: ShutdownScope): Promise<void>
  readonly count: () => number
  /** Returns what one connection through the relays in use may carry; undefined without relays or limits. */
  readonly limits: () => RelayLimits | undefined
}

interface Reservation {
  readonly entry: StrategyEntry
  readonly relay: Relay
  lease: Lease
  readonly wakeup: Wakeup
  readonly controller: AbortController
}

interface Choice {
  readonly entry: StrategyEntry
  readonly relay: Relay
}

const notNeeded = abortReason('the reservation is not needed')
const relayGone = abortReason('the relay is gone')

export function createReservations(context: Context): Reservations {
  const { host, policy, bus, requests, discoveries, candidates, memory } = context
  const { clock } = host
  const wakeup = createWakeup(clock)
  const held = new Map<string, Reservation>()
  const rests = new Map<string, { readonly count: number; readonly untilMs: number }>()
  /** Since when the verdict is `public` (monotonic ms); undefined while it is not. */
  let publicSinceMs: number | undefined

  /** Returns how many reservations to hold: the number that the user named, or else that of the policy. */
  function maxReservations(): number {
    const counts = discoveries.entries.flatMap(({ kind, count }) =>
      kind === 'relay' && count !== undefined ? [count] : []
    )
    return counts.length === 0 ? policy.relay.count : Math.max(...counts)
  }

  /** Returns the relay to ask now, or how long to wait for one, in ms. */
  function choose(): { readonly choice?: Choice; readonly waitMs: number } {
    const networks = new Set([...held.values()].map(({ relay }) => relay.party.network))
    let waitMs = Number.POSITIVE_INFINITY
    let choice: Choice | undefined
    for (const entry of discoveries.entries) {
      for (const ability of entry.abilities.values()) {
        if (ability.kind !== 'relay' || networks.has(ability.party.network)) continue
        const restsMs = (rests.get(ability.party.id)?.untilMs ?? 0) - clock.monotonicMs()
        if (restsMs > 0) waitMs = Math.min(waitMs, restsMs)
        else if (choice === undefined || rtt(ability) < rtt(choice.relay)) choice = { entry, relay: ability }
      }
    }
    return choice === undefined ? { waitMs } : { choice, waitMs }
  }

  async function reserve(
    entry: StrategyEntry,
    relay: Relay,
    { signal }: CallOptions,
    shutdown: ShutdownScope
  ): Promise<void> {
    const { id } = relay.party
    try {
      const late = (lease: Lease): void => shutdown.track(release(entry, lease, shutdown))
      const subject = { strategy: entry.name, verb: 'reserve' } as const
      const reserved = (call: CallOptions): Promise<Lease> => relay.reserve(call)
      const lease = await requests.attempt(subject, reserved, policy.requestTimeoutMs, { signal }, late)
      if (lease.addresses.length === 0 || !lease.addresses.every(isMultiaddrText) || !(lease.lifetimeMs > 0)) {
        await release(entry, lease, shutdown)
        throw natError('GRANT_INVALID', 'the relay granted an invalid address, none, or no lifetime')
      }
      rests.delete(id)
      entry.status.succeeded()
      entry.status.leaseAdded()
      bus.emit('lease', { strategy: entry.name, change: 'granted', code: null })
      const reservation: Reservation = {
        entry,
        relay,
        lease,
        wakeup: createWakeup(clock),
        controller: new AbortController()
      }
      held.set(id, reservation)
      publish(reservation)
      shutdown.track(keepOne(reservation, { signal }, shutdown))
    } catch (error) {
      signal.throwIfAborted()
      const failure = asNatError(error)
      entry.status.failed(failure)
      rest(id, failure)
      bus.emit('reportChanged', undefined)
    }
  }

  /** Backs off from a relay: for longer after a refusal than after no answer. */
  function rest(id: string, { code, retryAfterMs = 0 }: NatError): void {
    const count = (rests.get(id)?.count ?? 0) + 1
    const isAway = awayCodes.has(code)
    const waitMs = Math.max(backOffMs(isAway ? policy.retry : policy.relay.rest, count), retryAfterMs)
    rests.set(id, { count, untilMs: clock.monotonicMs() + waitMs })
  }

  function publish({ entry, relay, lease }: Reservation): void {
    const expiresAt = lease.lifetimeMs === Number.POSITIVE_INFINITY ? null : clock.wallMs() + lease.lifetimeMs
    for (const address of lease.addresses) {
      candidates.put({
        address,
        type: 'relayed',
        strategy: entry.name,
        endpoint: null,
        mapper: null,
        expiresAt,
        relay: relayReport(relay.party, lease.limits)
      })
    }
  }

  async function keepOne(reservation: Reservation, { signal }: CallOptions, shutdown: ShutdownScope): Promise<void> {
    const { entry, controller } = reservation
    const call = { signal: anySignal([signal, controller.signal]) }
    let renewal: Promise<Lease> | undefined
    const owner: LeaseOwner = {
      // A reservation lives as long as the connection: a relay that does not renew has dropped it.
      isForgotten: () => true,
      renew(lease, { signal: cancel }) {
        const subject = { strategy: entry.name, verb: 'renew' } as const
        const renewed = (bounded: CallOptions): Promise<Lease> => lease.renew(bounded)
        renewal = requests.attempt(subject, renewed, policy.requestTimeoutMs, { signal: cancel })
        return renewal
      },
      onRenewed(lease, before) {
        renewal = undefined
        for (const address of before.addresses) if (!lease.addresses.includes(address)) candidates.withdraw(address)
        reservation.lease = lease
        bus.emit('lease', { strategy: entry.name, change: 'renewed', code: null })
        publish(reservation)
      }
    }
    try {
      const { lease, wakeup: ownWakeup } = reservation
      const { why } = await keepLease(lease, owner, { clock, random: host.random, wakeup: ownWakeup }, call)
      drop(reservation, why)
      const releaseLate = (late: Lease): Promise<void> => release(entry, late, shutdown)
      if (renewal !== undefined) shutdown.track(renewal.then(releaseLate, () => undefined))
      // Do not ask a relay all the time that grants very short reservations.
      rests.set(reservation.relay.party.id, { count: 0, untilMs: clock.monotonicMs() + minSpacingMs })
      wakeup.wake('rescan')
      // The relay may have forgotten the reservation, but this host still listens through it.
      await release(entry, reservation.lease, shutdown)
    } catch (error) {
      if (!call.signal.aborted) throw error
      const isLost = controller.signal.reason === relayGone
      drop(reservation, isLost ? natError('MAPPING_LOST', 'the relay is gone, and the reservation with it') : undefined)
      wakeup.wake('rescan')
      await release(entry, reservation.lease, shutdown)
    }
  }

  /** @param why - why it has lapsed; undefined if it is released */
  function drop(reservation: Reservation, why: NatError | undefined): void {
    if (held.get(reservation.relay.party.id) !== reservation) return
    held.delete(reservation.relay.party.id)
    const { name: strategy, status } = reservation.entry
    status.leaseRemoved()
    bus.emit('lease', { strategy, change: why === undefined ? 'released' : 'lapsed', code: why?.code ?? null })
    for (const address of reservation.lease.addresses) candidates.withdraw(address)
    bus.emit('reportChanged', undefined)
  }

  async function release({ name }: StrategyEntry, lease: Lease, shutdown: ShutdownScope): Promise<void> {
    const subject = { strategy: name, verb: 'release' } as const
    const released = (bounded: CallOptions): Promise<void> => lease.release(bounded)
    await requests
      .attempt(subject, released, policy.requestTimeoutMs, shutdown)
      .catch((error: unknown) => host.log.debug(`a reservation was not released: ${asNatError(error).message}`))
  }

  const demand = (startedMs: number): { readonly count: number; readonly waitMs: number } =>
    demandNow(
      {
        nowMs: clock.monotonicMs(),
        startedMs,
        servedSinceMs: publicSinceMs,
        wasVerified: wasVerified(memory, clock)
      },
      policy.relay,
      held.size,
      maxReservations()
    )

  bus.on('strategyChanged', () => wakeup.wake('rescan'))
  bus.on('searchAdvanced', () => wakeup.wake('rescan'))
  bus.on('verdict', () => wakeup.wake('rescan'))
  bus.on('reviewed', (verdict) => {
    publicSinceMs = verdict === 'public' ? (publicSinceMs ?? clock.monotonicMs()) : undefined
  })
  bus.on('noticed', ({ notice: { what, about } }) => {
    if (what === 'gone' && about.kind === 'relay') held.get(about.party.id)?.controller.abort(relayGone)
  })

  return {
    async run({ signal }, shutdown) {
      publicSinceMs = undefined
      let startedMs = clock.monotonicMs()
      let wasPublic = false
      while (!signal.aborted) {
        const publicNow = publicSinceMs !== undefined
        // The direct address was lost: start again, without the initial delay, because a relay is needed now.
        if (wasPublic && !publicNow) startedMs = clock.monotonicMs() - policy.relay.initialDelayMs
        wasPublic = publicNow
        const { count, waitMs } = demand(startedMs)
        const next = held.size < count ? choose() : { waitMs: Number.POSITIVE_INFINITY }
        const { choice } = next
        if (choice !== undefined) {
          await reserve(choice.entry, choice.relay, { signal }, shutdown).catch(() => undefined)
          continue
        }
        for (const { controller } of [...held.values()].slice(count)) controller.abort(notNeeded)
        await wakeup.wait(Math.min(waitMs, next.waitMs), { signal }).catch(() => undefined)
      }
    },
    count: () => held.size,
    limits: () => [...held.values()].map(({ lease }) => lease.limits).find((limits) => limits !== undefined)
  }
}

const rtt = ({ party }: Relay): number => party.rttMs ?? Number.POSITIVE_INFINITY
