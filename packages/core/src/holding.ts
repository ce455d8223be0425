import {
  type CallOptions,
  type Endpoint,
  type Lease,
  type Mapper,
  type NatError,
  natError,
  parseMultiaddr
} from '@postern/interface'
import { asNatError, attempt } from './attempt.js'
import { type Bell, createBell } from './bell.js'
import type { Context } from './context.js'
import { eventReason, type MappingEvent, type MappingEventName } from './events.js'
import { keep } from './keeper.js'
import type { Holder } from './ledger.js'
import { keyBytes, type Memory } from './memory.js'
import { backOffMs } from './policy.js'
import { leastSpacingMs } from './renewal.js'
import { type Entry, gatewayKey } from './roster.js'
import { endpointFor, isOnPath, isOurs, ownPort, type Want } from './wants.js'

/** What is held for one want: nothing, or one lease. */
export interface Holding {
  readonly want: Want
  readonly held: () => Held | undefined
  /** Whether everything that could be tried by now has been. */
  readonly atRest: () => boolean
  /** Something is to be looked at again: `look` at what strategies there are, `check` the lease at its gateway. */
  ring(why: 'look' | 'check'): void
  /** The gateway is known to have forgotten the lease. */
  gatewayForgot(): void
  /** Maps and keeps until the signal aborts. */
  run(call: CallOptions): Promise<void>
  /** Gives back what is held. Rejects if that fails. */
  release(call: CallOptions): Promise<void>
}

export interface Held {
  readonly lease: Lease
  readonly entry: Entry
  readonly mapper: Mapper
  readonly endpoint: Endpoint
  readonly memory: Memory
  readonly holder: Holder
}

interface Failure {
  readonly mapper: Mapper
  readonly error: NatError
  readonly count: number
  readonly untilMs: number
}

export function createHolding(want: Want, context: Context): Holding {
  const { host, policy, roster, desks, memory, candidates, doubts, ledger, emit } = context
  const { clock } = host
  const bell: Bell = createBell(clock)
  const failures = new Map<string, Failure>()
  let held: Held | undefined
  let trying = true
  let forgotten = false
  let forfeited = false
  let notBeforeMs = 0
  let complained = ''

  /** The best mapper that may be asked now, or how long to wait for one. */
  function choose(): { readonly entry: Entry; readonly mapper: Mapper; readonly endpoint: Endpoint } | number {
    const now = clock.monotonicMs()
    let waitMs = Number.POSITIVE_INFINITY
    for (const entry of roster.entries) {
      for (const ability of entry.abilities.values()) {
        if (ability.kind !== 'mapper' || !isOnPath(ability, entry, context.network())) continue
        const endpoint = endpointFor(want, ability, context.network())
        if (endpoint === undefined) continue
        const rests = desks.of(ability.gateway).restsUntil.get(entry.name) ?? 0
        const failure = failures.get(entry.name)
        // A mapper that was found anew has not failed yet.
        const readyMs = Math.max(rests, failure?.mapper === ability ? failure.untilMs : 0, notBeforeMs)
        if (readyMs > now) waitMs = Math.min(waitMs, readyMs - now)
        else if (context.mayUse(entry.rank)) return { entry, mapper: ability, endpoint }
      }
    }
    return waitMs
  }

  async function acquire(
    entry: Entry,
    mapper: Mapper,
    endpoint: Endpoint,
    { signal }: CallOptions
  ): Promise<Held | undefined> {
    // Written before the request leaves, so that a run that is killed now finds its mapping again.
    const remembered = await memory.recall(mapper.gateway, endpoint)
    const request = {
      endpoint,
      suggestedExternalPort: remembered.externalPort ?? want.externalPort ?? ownPort(endpoint.port),
      lifetimeMs: want.lifetimeMs,
      key: keyBytes(remembered)
    }
    const desk = desks.of(mapper.gateway)
    try {
      const lease = await desk.serve(() =>
        attempt(
          (call) => mapper.map(request, call),
          policy.attemptMs,
          clock,
          { signal },
          (late) => void giveBack(late)
        )
      )
      checkGrant(lease)
      desk.heardMs.set(entry.name, clock.monotonicMs())
      failures.delete(entry.name)
      entry.failure = undefined
      return { lease, entry, mapper, endpoint, memory: remembered, holder: { endpoint, forfeit } }
    } catch (error) {
      signal.throwIfAborted()
      fail(entry, mapper, asNatError(error))
      return undefined
    }
  }

  function forfeit(): void {
    forfeited = true
    bell.ring('look')
  }

  function fail(entry: Entry, mapper: Mapper, error: NatError): void {
    const count = (failures.get(entry.name)?.count ?? 0) + 1
    const now = clock.monotonicMs()
    failures.set(entry.name, { mapper, error, count, untilMs: now + backOffMs(policy.retry, count) })
    if (error.retryAfterMs !== undefined) {
      desks.of(mapper.gateway).restsUntil.set(entry.name, now + Math.min(error.retryAfterMs, longestRestMs))
    }
    entry.failure = error
    context.touched()
    host.log.debug(`${entry.name}: ${error.code}: ${error.message}`)
  }

  /** A lease nobody waits for any more. */
  async function giveBack(lease: Lease): Promise<void> {
    await attempt((call) => lease.release(call), policy.attemptMs, clock, {
      signal: new AbortController().signal
    }).catch((error: unknown) =>
      host.log.debug(`a lease that came too late was not released: ${asNatError(error).message}`)
    )
  }

  function publish(next: Held, before: Held | undefined, { signal }: CallOptions): void {
    held = next
    if (before === undefined) next.entry.leases++
    for (const address of next.lease.addresses) ledger.take(address, next.holder)
    if (before !== undefined) withdraw(before, next)
    const external = externalOf(next.lease)
    // A router that was named, or is none, need not be the next hop: its address may well lie beyond that.
    if (external?.family === 4 && next.mapper.gateway !== null && next.entry.named === undefined) {
      doubts.examine(external.address, { signal })
    }
    const wall = clock.wallMs()
    const expiresAt = next.lease.lifetimeMs === Number.POSITIVE_INFINITY ? null : wall + next.lease.lifetimeMs
    for (const address of next.lease.addresses) {
      const type = next.mapper.gateway === null ? 'manual' : 'mapped'
      candidates.put({ address, type, strategy: next.entry.name, endpoint: next.endpoint, expiresAt })
    }
    const externalPort = external?.port ?? null
    memory.note(next.memory, { strategy: next.entry.name, externalPort, expiresAt })
    const changed = before !== undefined && before.lease.addresses.join() !== next.lease.addresses.join()
    complained = ''
    tell(before === undefined ? 'mapped' : changed ? 'changed' : 'renewed', next)
  }

  /** True if the mapping was nobody else's too. */
  function withdraw(old: Held, next?: Held): boolean {
    const gone = old.lease.addresses.filter((address) => next?.lease.addresses.includes(address) !== true)
    const last = gone.filter((address) => ledger.leave(address, old.holder))
    for (const address of last) candidates.withdraw(address)
    return last.length === gone.length
  }

  function tell(event: MappingEventName, about: Held, error?: NatError): void {
    const external = externalOf(about.lease)
    const details: MappingEvent = {
      event,
      strategy: about.entry.name,
      protocol: about.endpoint.protocol,
      internal: { address: about.endpoint.address, port: about.endpoint.port },
      external: external === undefined ? null : { address: external.address, port: external.port },
      lifetimeSeconds: about.lease.lifetimeMs === Number.POSITIVE_INFINITY ? null : about.lease.lifetimeMs / 1000,
      ...(error === undefined ? {} : { reasons: [eventReason(about.entry.name, error)] })
    }
    emit(details)
  }

  /** Says that nothing works, once for each new set of reasons. */
  function complain(): void {
    if (!context.firstPassOver()) return
    const reasons = roster.entries.flatMap((entry) => {
      const error = failures.get(entry.name)?.error ?? entry.absence
      return error === undefined ? [] : [eventReason(entry.name, error)]
    })
    const text = reasons.map(({ strategy, code }) => `${strategy} ${code}`).join()
    if (text === complained) return
    complained = text
    const { protocol, address, port } = want.endpoint
    emit({
      event: 'failed',
      strategy: null,
      protocol,
      internal: { address, port },
      external: null,
      lifetimeSeconds: null,
      reasons
    })
  }

  function spoiled(): NatError | undefined {
    if (held === undefined) return undefined
    if (forfeited) return natError('MAPPING_LOST', 'the mapping points to another endpoint now')
    if (!isOurs(held.endpoint.address, context.network())) {
      return natError('MAPPING_LOST', `${held.endpoint.address} is no longer an address of this host`)
    }
    return isOnPath(held.mapper, held.entry, context.network())
      ? undefined
      : natError('SECONDARY_GATEWAY', 'replies leave through another router now')
  }

  async function hold(first: Held, call: CallOptions): Promise<void> {
    // What was just granted need not be looked at.
    bell.silence()
    publish(first, undefined, call)
    const error = await keep(
      first.lease,
      {
        clock,
        random: host.random,
        bell,
        spoiled,
        forgotten: () => forgotten,
        pollAtMs: () => {
          if (first.mapper.gateway === null) return Number.POSITIVE_INFINITY
          return (desks.of(first.mapper.gateway).heardMs.get(first.entry.name) ?? 0) + policy.pollMs
        },
        async renew(lease, { signal }) {
          const desk = desks.of(first.mapper.gateway)
          // Claimed before the answer, so that one lease of a gateway is asked about at a poll, and not each of them.
          desk.heardMs.set(first.entry.name, clock.monotonicMs())
          const next = await desk.serve(() =>
            // A renewal that comes too late is the same mapping, still held: releasing it would end what is kept.
            attempt((bounded) => lease.renew(bounded), policy.attemptMs, clock, { signal })
          )
          checkGrant(next)
          desk.heardMs.set(first.entry.name, clock.monotonicMs())
          return next
        },
        onRenewed(lease) {
          forgotten = false
          first.entry.failure = undefined
          publish({ ...first, lease }, held, call)
        },
        onFailed(failure) {
          first.entry.failure = failure
          context.touched()
        }
      },
      call
    )
    // It lapsed, or is worth nothing here: nobody can be asked to delete it.
    const why = error ?? natError('LEASE_LAPSED', 'it was not renewed in time')
    if (forfeited) fail(first.entry, first.mapper, why)
    lose(why)
  }

  function lose(error: NatError): void {
    const lost = held
    held = undefined
    forgotten = false
    forfeited = false
    notBeforeMs = clock.monotonicMs() + (error.code === 'LEASE_LAPSED' ? leastSpacingMs : 0)
    if (lost === undefined) return
    lost.entry.leases--
    withdraw(lost)
    tell('lost', lost, error)
  }

  return {
    want,
    held: () => held,
    atRest: () => held !== undefined || !trying,
    ring(why) {
      if (held === undefined) trying = true
      bell.ring(why)
    },
    gatewayForgot() {
      forgotten = held !== undefined
      failures.clear()
      bell.ring('check')
    },
    async run({ signal }) {
      while (!signal.aborted) {
        const choice = choose()
        if (typeof choice === 'number') {
          trying = false
          context.touched()
          complain()
          await bell.wait(choice, { signal }).catch(() => undefined)
          continue
        }
        trying = true
        const granted = await acquire(choice.entry, choice.mapper, choice.endpoint, { signal }).catch(() => undefined)
        if (granted === undefined) continue
        if (signal.aborted) {
          held = granted
          granted.entry.leases++
          return
        }
        await hold(granted, { signal }).catch((error: unknown) => {
          if (!signal.aborted) throw error
        })
      }
    },
    async release({ signal }) {
      const last = held
      if (last === undefined) return
      held = undefined
      last.entry.leases--
      if (!withdraw(last) || forfeited) return
      const release = (): Promise<void> =>
        attempt((call) => last.lease.release(call), policy.attemptMs, clock, { signal })
      try {
        await desks.of(last.mapper.gateway).serve(release)
      } catch (error) {
        // It stays in memory too: the next run deletes it, or it lapses.
        tell('failed', last, asNatError(error))
        throw error
      }
      memory.forget(last.memory)
      tell('released', last)
    }
  }
}

/** RFC 6887 §7.4: a longer error lifetime is not believed. */
const longestRestMs = 24 * 60 * 60 * 1000

/** What `gatewayKey` is to a holding: where its lease is. */
export const heldAt = (holding: Holding, key: string): boolean => {
  const gateway = holding.held()?.mapper.gateway
  return gateway !== undefined && gateway !== null && gatewayKey(gateway) === key
}

const externalOf = (lease: Lease): ReturnType<typeof parseMultiaddr> =>
  lease.addresses.map((address) => parseMultiaddr(address)).find((parsed) => parsed !== undefined)

function checkGrant(lease: Lease): void {
  if (externalOf(lease) === undefined) throw natError('GRANT_INVALID', 'the grant names no address')
  if (!(lease.lifetimeMs > 0)) throw natError('GRANT_INVALID', `the grant is for ${lease.lifetimeMs} ms`)
}
