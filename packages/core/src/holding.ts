import { printable } from '@postern/interface'
import type { CallOptions, Endpoint, Lease, Mapper } from '@postern/interface'
import { asNatError, attempt } from './attempt.js'
import { type Bell, createBell } from './bell.js'
import type { Closing, Context } from './context.js'
import { eventReason } from './events.js'
import { createFailures } from './failures.js'
import { createHolder } from './ledger.js'
import { keyBytes, type Memory } from './memory.js'
import { checkGrant, createPublisher, type Held } from './publisher.js'
import { minSpacingMs } from './renewal.js'
import { type Entry, gatewayKey } from './roster.js'
import { createTenure, type Tenure } from './tenure.js'
import { endpointFor, isOnPath, ownPort, type Want } from './wants.js'

/** What is held for one want: nothing, or one lease. */
export interface Holding {
  readonly held: () => Held | undefined
  /** Whether everything that could be tried by now has been. */
  readonly atRest: () => boolean
  /** Something is to be looked at again: `look` at what strategies there are, `check` the lease at its gateway. */
  ring(why: 'look' | 'check'): void
  /** The gateway is known to have forgotten what it granted before this moment, on the monotonic clock. */
  gatewayForgot(beforeMs: number): void
  /** Maps and keeps until the signal aborts; then gives back what is held, as long as the other one does not. */
  run(call: CallOptions, last: Closing): Promise<void>
}

interface Choice {
  readonly entry: Entry
  readonly mapper: Mapper
  readonly endpoint: Endpoint
}

export function createHolding(want: Want, context: Context): Holding {
  const { host, policy, roster, desks, memory, ledger } = context
  const { clock } = host
  const bell: Bell = createBell(clock)
  const publisher = createPublisher(context)
  const failures = createFailures(context)
  let tenure: Tenure | undefined
  let trying = true
  let notBeforeMs = 0
  let complained = ''
  /** A mapping that the gateway has granted, and that a change of the network here has ended: it is there still. */
  let parted: { readonly gateway: string; readonly address: string; readonly askedMs: number } | undefined

  /** The best mapper that may be asked now, or how long to wait for one. */
  function choose(): Choice | number {
    const now = clock.monotonicMs()
    let waitMs = Number.POSITIVE_INFINITY
    for (const entry of roster.entries) {
      for (const ability of entry.abilities.values()) {
        if (ability.kind !== 'mapper' || !isOnPath(ability, entry, context.network())) continue
        const endpoint = endpointFor(want, ability, context.network())
        if (endpoint === undefined) continue
        const readyMs = Math.max(failures.readyMs(entry, ability), notBeforeMs, restMs(ability, endpoint))
        if (readyMs > now) waitMs = Math.min(waitMs, readyMs - now)
        else if (context.mayUse(entry.rank)) return { entry, mapper: ability, endpoint }
      }
    }
    return waitMs
  }

  /** Until when a gateway is not asked again for what it granted a moment ago (RFC 6887 §11.2.1): the cable was out and in. */
  function restMs({ gateway }: Mapper, { address }: Endpoint): number {
    if (parted === undefined || gateway === null) return 0
    return gatewayKey(gateway) === parted.gateway && address === parted.address ? parted.askedMs + minSpacingMs : 0
  }

  /** Undefined where nothing was granted. Rejects with the signal's reason. */
  async function acquire(choice: Choice, call: CallOptions, last: Closing): Promise<Held | undefined> {
    const { entry, mapper, endpoint } = choice
    const desk = desks.of(mapper.gateway)
    const holder = createHolder(endpoint, () => bell.ring('look'))
    // Written before the request leaves, so that a run that is killed now finds its mapping again.
    let remembered = await memory.recall(mapper.gateway, endpoint, call)
    try {
      const granted = await desk.serve(async () => {
        call.signal.throwIfAborted()
        // Another holder of the same endpoint has released it meanwhile.
        if (!memory.has(remembered)) remembered = await memory.recall(mapper.gateway, endpoint, call)
        const map = (bounded: CallOptions): Promise<Lease> => mapper.map(requestFor(endpoint, remembered), bounded)
        const lease = await attempt(map, policy.attemptMs, clock, call, (late) =>
          last.track(giveBack(mapper, late, last))
        )
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
      failures.granted(entry)
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

  /** A lease that nobody waits for any more. One that is the same mapping as a live one is only forgotten. */
  async function giveBack(mapper: Mapper, lease: Lease, last: Closing): Promise<void> {
    const release = async (): Promise<void> => {
      if (lease.addresses.some(ledger.isHeld)) return
      await attempt((call) => lease.release(call), policy.attemptMs, clock, last)
    }
    await desks
      .of(mapper.gateway)
      .serve(release)
      .catch((error: unknown) =>
        host.log.debug(`a lease that came too late was not released: ${printable(String(error))}`)
      )
  }

  /** Says that nothing works, once for each new set of reasons. */
  function complain(): void {
    if (!context.firstPassOver()) return
    const reasons = roster.entries.flatMap((entry) => {
      const error = failures.of(entry) ?? entry.absence
      return error === undefined ? [] : [eventReason(entry.name, error)]
    })
    const text = reasons.map(({ strategy, code }) => `${strategy} ${code}`).join()
    // Without a strategy that maps, nothing was tried that could have failed.
    if (text === complained || reasons.length === 0) return
    complained = text
    publisher.complain(want, reasons)
  }

  async function hold(first: Held, call: CallOptions, last: Closing): Promise<void> {
    const { entry, mapper } = first
    const sinceMs = clock.monotonicMs()
    complained = ''
    tenure = createTenure(first, {
      context,
      bell,
      publisher,
      track: last.track,
      askedLast: leaveAlone,
      giveBack: (where, lease) => last.track(giveBack(where, lease, last)),
      answered(error) {
        if (entry.failure !== error) context.touched()
        // Whether it still works although its gateway does not answer any more, witnesses can tell.
        if (error !== undefined && entry.failure === undefined) context.doubt()
        entry.failure = error
        if (error === undefined) failures.clear(entry)
        else failures.rest(entry, mapper, error)
      }
    })
    const { kind, why } = await tenure.keep(call)
    const askedMs = tenure.askedMs()
    tenure = undefined
    // Whoever grants for a moment only, or the same to everybody, is asked less and less often.
    const isShort = kind === 'lapsed' && clock.monotonicMs() - sinceMs < policy.retry.mostMs
    if (isShort || first.holder.isForfeit()) failures.defer(entry, mapper)
    if (kind === 'spoiled') {
      const { gateway } = mapper
      parted = gateway === null ? undefined : { gateway: gatewayKey(gateway), address: first.endpoint.address, askedMs }
      return
    }
    entry.failure = why
    leaveAlone()
  }

  /** Renewals keep a distance of 4 s (RFC 6887 §11.2.1), and the gateway may have heard the last one. */
  function leaveAlone(): void {
    notBeforeMs = clock.monotonicMs() + minSpacingMs
  }

  async function pursue(call: CallOptions, last: Closing): Promise<void> {
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

  return {
    held: () => tenure?.held(),
    atRest: () => tenure !== undefined || !trying,
    ring(why) {
      if (tenure === undefined) trying = true
      bell.ring(why)
    },
    gatewayForgot(beforeMs) {
      // The answer that told of it may have been the one to this very lease.
      if (tenure !== undefined && !tenure.gatewayForgot(beforeMs)) return
      failures.clear()
      if (parted !== undefined && parted.askedMs < beforeMs) parted = undefined
      bell.ring('check')
    },
    async run(call, last) {
      await pursue(call, last).catch((error: unknown) => {
        if (!call.signal.aborted) host.log.info(`a mapping is given up: ${printable(String(error))}`)
      })
      await tenure?.release(last)
      tenure = undefined
    }
  }
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
