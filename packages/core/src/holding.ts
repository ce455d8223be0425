import { type CallOptions, type Endpoint, type Lease, type Mapper, type NatError, natError } from '@postern/interface'
import { asNatError, attempt, graceMs } from './attempt.js'
import { type Bell, createBell } from './bell.js'
import type { Context } from './context.js'
import { eventReason } from './events.js'
import { createFailures } from './failures.js'
import { keep } from './keeper.js'
import type { Holder } from './ledger.js'
import { keyBytes, type Memory } from './memory.js'
import { checkGrant, createPublisher, type Grant, type Held } from './publisher.js'
import { leastSpacingMs } from './renewal.js'
import { type Entry, gatewayKey } from './roster.js'
import { endpointFor, isOnPath, isOurs, ownPort, type Want } from './wants.js'

/** What is held for one want: nothing, or one lease. */
export interface Holding {
  readonly held: () => Held | undefined
  /** Whether everything that could be tried by now has been. */
  readonly atRest: () => boolean
  /** Something is to be looked at again: `look` at what strategies there are, `check` the lease at its gateway. */
  ring(why: 'look' | 'check'): void
  /** The gateway is known to have forgotten the lease. */
  gatewayForgot(): void
  /** Maps and keeps until the signal aborts; then gives back what is held, as long as the other one does not. */
  run(call: CallOptions, last: CallOptions): Promise<void>
}

interface Choice {
  readonly entry: Entry
  readonly mapper: Mapper
  readonly endpoint: Endpoint
}

export function createHolding(want: Want, context: Context): Holding {
  const { host, policy, roster, desks, memory, ledger, doubts } = context
  const { clock } = host
  const bell: Bell = createBell(clock)
  const publisher = createPublisher(context)
  const failures = createFailures(context)
  /** What goes on although nothing here waits for its outcome. */
  const strays = new Set<Promise<void>>()
  let held: Held | undefined
  let trying = true
  let forgotten = false
  let forfeited = false
  let notBeforeMs = 0
  let complained = ''

  /** The best mapper that may be asked now, or how long to wait for one. */
  function choose(): Choice | number {
    const now = clock.monotonicMs()
    let waitMs = Number.POSITIVE_INFINITY
    for (const entry of roster.entries) {
      for (const ability of entry.abilities.values()) {
        if (ability.kind !== 'mapper' || !isOnPath(ability, entry, context.network())) continue
        const endpoint = endpointFor(want, ability, context.network())
        if (endpoint === undefined) continue
        const readyMs = Math.max(failures.readyMs(entry, ability), notBeforeMs)
        if (readyMs > now) waitMs = Math.min(waitMs, readyMs - now)
        else if (context.mayUse(entry.rank)) return { entry, mapper: ability, endpoint }
      }
    }
    return waitMs
  }

  /** Undefined where nothing was granted. Rejects with the signal's reason. */
  async function acquire(choice: Choice, call: CallOptions, last: CallOptions): Promise<Held | undefined> {
    const { entry, mapper, endpoint } = choice
    const desk = desks.of(mapper.gateway)
    const holder: Holder = { endpoint, forfeit }
    // Written before the request leaves, so that a run that is killed now finds its mapping again.
    let remembered = await memory.recall(mapper.gateway, endpoint, call)
    try {
      const granted = await desk.serve(async () => {
        call.signal.throwIfAborted()
        // Another holder of the same endpoint has released it meanwhile.
        if (!memory.has(remembered)) remembered = await memory.recall(mapper.gateway, endpoint, call)
        const map = (bounded: CallOptions): Promise<Lease> => mapper.map(requestFor(endpoint, remembered), bounded)
        const lease = await attempt(map, policy.attemptMs, clock, call, (late) => stray(giveBack(mapper, late, last)))
        try {
          const good = checkGrant(lease)
          publisher.take(good.lease, holder)
          return good
        } catch (error) {
          await attempt((bounded) => lease.release(bounded), policy.attemptMs, clock, last).catch(() => undefined)
          throw error
        }
      })
      desk.heardMs.set(entry.name, clock.monotonicMs())
      failures.clear(entry)
      entry.failure = undefined
      return { ...granted, want, entry, mapper, endpoint, memory: remembered, holder }
    } catch (error) {
      call.signal.throwIfAborted()
      failures.add(entry, mapper, asNatError(error))
      return undefined
    }
  }

  const requestFor = (endpoint: Endpoint, remembered: Memory): Parameters<Mapper['map']>[0] => ({
    endpoint,
    suggestedExternalPort: portToAsk(want, remembered) ?? ownPort(endpoint.port),
    lifetimeMs: want.lifetimeMs,
    key: keyBytes(remembered)
  })

  function forfeit(): void {
    forfeited = true
    bell.ring('look')
  }

  function stray(work: Promise<void>): void {
    const kept: Promise<void> = work.finally(() => strays.delete(kept))
    strays.add(kept)
  }

  /** A lease that nobody waits for any more. One that is the same mapping as a live one is only forgotten. */
  async function giveBack(mapper: Mapper, lease: Lease, last: CallOptions): Promise<void> {
    const release = async (): Promise<void> => {
      if (lease.addresses.some(ledger.isHeld)) return
      await attempt((call) => lease.release(call), policy.attemptMs, clock, last)
    }
    await desks
      .of(mapper.gateway)
      .serve(release)
      .catch((error: unknown) => host.log.debug(`a lease that came too late was not released: ${String(error)}`))
  }

  /** Says that nothing works, once for each new set of reasons. */
  function complain(): void {
    if (!context.firstPassOver()) return
    const reasons = roster.entries.flatMap((entry) => {
      const error = failures.of(entry) ?? entry.absence
      return error === undefined ? [] : [eventReason(entry.name, error)]
    })
    const text = reasons.map(({ strategy, code }) => `${strategy} ${code}`).join()
    if (text === complained) return
    complained = text
    publisher.complain(want, reasons)
  }

  function publish(next: Held, before: Held | undefined): void {
    held = next
    complained = ''
    publisher.publish(next, before)
    // A router that was named, or is none, need not be the next hop: its address may well lie beyond that.
    const { external, mapper, entry } = next
    if (external.family === 4 && mapper.gateway !== null && entry.named === undefined) doubts.examine(external.address)
  }

  function createSpoiled({ endpoint, mapper, entry }: Held): () => NatError | undefined {
    let looked: ReturnType<Context['network']> | undefined
    let elsewhere: NatError | undefined
    return () => {
      if (forfeited) return natError('MAPPING_LOST', 'the mapping points to another endpoint now')
      const network = context.network()
      if (network === looked) return elsewhere
      looked = network
      if (!isOurs(endpoint.address, network)) {
        elsewhere = natError('MAPPING_LOST', `${endpoint.address} is no longer an address of this host`)
      } else if (!isOnPath(mapper, entry, network)) {
        elsewhere = natError('SECONDARY_GATEWAY', 'replies leave through another router now')
      } else elsewhere = undefined
      return elsewhere
    }
  }

  async function hold(first: Held, call: CallOptions, last: CallOptions): Promise<void> {
    publish(first, undefined)
    // What was just granted need not be looked at.
    bell.silence()
    const { entry, mapper, holder } = first
    const desk = desks.of(mapper.gateway)
    // A mapper of an earlier network tells nobody any more what its answers reveal, so each of its leases is asked about.
    const isShared = (): boolean => isAmong(entry.abilities.values(), mapper)
    let latest: Grant = first
    let successor: Lease | undefined
    let isOver = false
    const take = (lease: Lease): Lease => {
      latest = checkGrant(lease, latest)
      publisher.take(latest.lease, holder)
      return latest.lease
    }
    /** The same mapping, still held: releasing it would end what is kept. */
    const adopt = (lease: Lease): void => {
      if (isOver) return stray(giveBack(mapper, lease, last))
      try {
        successor = take(lease)
        bell.ring('look')
      } catch (error) {
        host.log.debug(`${entry.name}: ${asNatError(error).message}`)
      }
    }
    const keeping = keep(
      first.lease,
      {
        clock,
        random: host.random,
        bell,
        pollMs: mapper.gateway === null ? Number.POSITIVE_INFINITY : policy.pollMs,
        heardMs: () => (isShared() ? (desk.heardMs.get(entry.name) ?? 0) : 0),
        spoiled: createSpoiled(first),
        forgotten: () => forgotten,
        mayOutlast: (ms) => desk.isBusy() || ms <= policy.attemptMs + graceMs,
        renew(lease) {
          // Claimed before the answer, so that one lease of a gateway is asked about at a poll, and not each of them.
          if (isShared()) desk.heardMs.set(entry.name, clock.monotonicMs())
          return desk.serve(async () => {
            if (isOver) throw natError('LEASE_LAPSED', 'it lapsed before it could be renewed')
            const next = await attempt((bounded) => lease.renew(bounded), policy.attemptMs, clock, call, adopt)
            return isOver ? next : take(next)
          })
        },
        successor: () => {
          const late = successor
          successor = undefined
          return late
        },
        abandon: (renewal) =>
          stray(
            renewal.then(
              (lease) => giveBack(mapper, lease, last),
              () => undefined
            )
          ),
        onRenewed() {
          successor = undefined
          forgotten = false
          if (entry.failure !== undefined) context.touched()
          entry.failure = undefined
          publish({ ...first, ...latest }, held)
        },
        onFailed(failure) {
          entry.failure = failure
          failures.rest(entry, mapper, failure)
          context.touched()
        }
      },
      call
    )
    const error = await keeping.finally(() => {
      isOver = true
      if (successor === undefined || held === undefined) return
      const next = { ...held, ...latest }
      publisher.withdraw(held, next)
      held = next
    })
    // It lapsed, or is worth nothing here: nobody can be asked to delete it.
    const why = error ?? natError('LEASE_LAPSED', 'it was not renewed in time')
    if (forfeited) failures.add(entry, mapper, why)
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
    publisher.withdraw(lost)
    publisher.tell('lost', lost, error)
  }

  async function pursue(call: CallOptions, last: CallOptions): Promise<void> {
    while (!call.signal.aborted) {
      const choice = choose()
      if (typeof choice === 'number') {
        trying = false
        context.touched()
        complain()
        await bell.wait(choice, call)
        continue
      }
      trying = true
      const granted = await acquire(choice, call, last)
      if (granted === undefined) continue
      if (!call.signal.aborted) {
        await hold(granted, call, last)
        continue
      }
      // Granted at the very moment at which nobody wanted it any more.
      if (publisher.withdraw(granted)) await giveBack(granted.mapper, granted.lease, last)
    }
  }

  async function release(last: CallOptions): Promise<void> {
    const old = held
    if (old === undefined) return
    held = undefined
    old.entry.leases--
    if (!publisher.withdraw(old) || forfeited) return
    try {
      const released = await desks.of(old.mapper.gateway).serve(async () => {
        // Somebody has mapped the same again while this waited: releasing it would end what is wanted.
        if (old.lease.addresses.some(ledger.isHeld)) return false
        await attempt((call) => old.lease.release(call), policy.attemptMs, clock, last)
        memory.forget(old.memory)
        return true
      })
      if (released) publisher.tell('released', old)
    } catch (error) {
      // It stays in memory too: the next run deletes it, or it lapses.
      publisher.tell('failed', old, asNatError(error))
      host.log.info(`a mapping was not released and will lapse: ${String(error)}`)
    }
  }

  return {
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
    async run(call, last) {
      await pursue(call, last).catch((error: unknown) => {
        if (!call.signal.aborted) host.log.info(`a mapping is given up: ${String(error)}`)
      })
      await release(last)
      while (strays.size > 0) await Promise.all(strays)
    }
  }
}

function isAmong<T>(all: Iterable<T>, one: T): boolean {
  for (const each of all) if (each === one) return true
  return false
}

/** What `gatewayKey` is to a holding: where its lease is. */
export const heldAt = (holding: Holding): string | undefined => {
  const gateway = holding.held()?.mapper.gateway
  return gateway === undefined || gateway === null ? undefined : gatewayKey(gateway)
}

/** The port that is remembered, so that a mapping is taken back; but not against a wish that was not there then. */
const portToAsk = ({ externalPort }: Want, remembered: Memory): number | undefined =>
  externalPort === undefined || remembered.wantedPort === externalPort
    ? (remembered.externalPort ?? externalPort)
    : externalPort
