import { printable } from '@postern/interface'
import type { CallOptions, Endpoint, Mapper } from '@postern/interface'
import { type Choice, createAcquiring } from './acquiring.js'
import { type Bell, createBell } from './bell.js'
import type { Closing, Context } from './context.js'
import { eventReason } from './events.js'
import { createFailures } from './failures.js'
import { createPublisher, type Held } from './publisher.js'
import { minSpacingMs } from './renewal.js'
import { gatewayKey } from './roster.js'
import { createTenure, type Tenure } from './tenure.js'
import { endpointFor, isOnPath, type Want } from './wants.js'

/** What is held for one want: nothing, or one lease. */
export interface Holding {
  readonly held: () => Held | undefined
  /** Whether an endpoint without wildcards is the one that is wanted. */
  isOf(endpoint: Endpoint): boolean
  /** Whether everything that could be tried by now has been. */
  readonly atRest: () => boolean
  /** Something is to be looked at again: `look` at what strategies there are, `check` the lease at its gateway. */
  ring(why: 'look' | 'check'): void
  /** The gateway is known to have forgotten what it granted before this moment, on the monotonic clock. */
  gatewayForgot(beforeMs: number): void
  /** Maps and keeps until the signal aborts; then gives back what is held, as long as the other one does not. */
  run(call: CallOptions, last: Closing): Promise<void>
}

export function createHolding(want: Want, context: Context): Holding {
  const { host, policy, roster } = context
  const { clock } = host
  const bell: Bell = createBell(clock)
  const publisher = createPublisher(context)
  const failures = createFailures(context)
  const acquiring = createAcquiring({
    want,
    context,
    failures,
    publisher,
    bell,
    holder: () => tenure?.held().entry,
    disturbed: () => bell.ring(tenure === undefined ? 'look' : 'check')
  })
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
        if (ability.kind !== 'mapper' || acquiring.isAsked(ability)) continue
        if (!isOnPath(ability, entry, context.network())) continue
        const endpoint = endpointFor(want, ability, context.network())
        if (endpoint === undefined) continue
        const readyMs = Math.max(failures.readyMs(entry, ability), notBeforeMs, restMs(ability, endpoint))
        if (readyMs > now) waitMs = Math.min(waitMs, readyMs - now)
        else if (context.mayUse(entry.rank)) return { entry, mapper: ability, endpoint }
      }
    }
    return waitMs
  }

  /** Whether a mapper is of a network that this host has left, or cannot serve the want there any more. */
  function isInVain({ entry, mapper, endpoint }: Choice): boolean {
    const network = context.network()
    if (![...entry.abilities.values()].some((ability) => ability === mapper) || !isOnPath(mapper, entry, network))
      return true
    return endpointFor(want, mapper, network)?.address !== endpoint.address
  }

  /** Until when a gateway is not asked again for what it granted a moment ago (RFC 6887 §11.2.1): the cable was out and in. */
  function restMs({ gateway }: Mapper, { address }: Endpoint): number {
    if (parted === undefined || gateway === null) return 0
    return gatewayKey(gateway) === parted.gateway && address === parted.address ? parted.askedMs + minSpacingMs : 0
  }

  /** Says that nothing works, once for each new set of reasons. Not while there may still be an answer. */
  function complain(): void {
    if (!context.firstPassOver() || acquiring.isUnderWay()) return
    const reasons = roster.entries.flatMap((entry) => {
      // That a witness or a relay is missing is no reason why nothing is mapped.
      if (entry.kind !== null && entry.kind !== 'mapper') return []
      const error = failures.of(entry) ?? entry.absence
      if (error === undefined) return []
      const reason = eventReason(entry.name, error)
      return context.isAwaited(entry) ? [{ ...reason, message: `${reason.message}; still searching` }] : [reason]
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
      giveBack: (lease) => last.track(acquiring.giveBack(first, lease, last)),
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
      const granted = acquiring.take()
      if (granted !== undefined) {
        await hold(granted, call, last)
        continue
      }
      acquiring.abandon(isInVain)
      const patienceMs = acquiring.patienceMs()
      if (patienceMs > 0) {
        trying = true
        await bell.wait(patienceMs, call)
        continue
      }
      const choice = choose()
      if (typeof choice !== 'number') {
        trying = true
        acquiring.start(choice, call, last)
        continue
      }
      trying = false
      acquiring.remember()
      context.touched()
      complain()
      await bell.wait(choice, call)
    }
  }

  return {
    held: () => tenure?.held(),
    isOf: ({ protocol, family, port }) =>
      protocol === want.endpoint.protocol && family === want.endpoint.family && port === want.endpoint.port,
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
      await acquiring.end(last)
      await context.claims.drop(want)
    }
  }
}

/** What `gatewayKey` is to a holding: where its lease is. */
export const heldAt = (holding: Holding): string | undefined => {
  const gateway = holding.held()?.mapper.gateway
  return gateway === undefined || gateway === null ? undefined : gatewayKey(gateway)
}
