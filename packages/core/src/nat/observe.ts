import {
  abortReason,
  anySignal,
  type CallOptions,
  type Family,
  type NatError,
  natError,
  type Observer,
  printable,
  type SharedUdpSocket
} from '@postern/interface'
import { asNatError, attempt } from '../async/attempt.js'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import type { Context } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { backOffMs } from '../model/policy.js'
import { chooseObservers, type Found } from './choose-observers.js'
import type { NatFacts } from './nat-advice.js'
import { checkObservation, type NatKnowledge, type NatObservation, natOf } from './nat-behaviour.js'

/** Opens a UDP socket for observers, or returns one that is already open. The signal aborts when they have answered. */
export type OpenSharedSocket = (call: CallOptions) => SharedUdpSocket | Promise<SharedUdpSocket>

/** Has observers look at the lent sockets: once in each network, and again after a doubt or a failure. */
export interface Observers {
  /** Lends a socket until the signal aborts. */
  lend(open: OpenSharedSocket, call: Partial<CallOptions>): void
  /** Starts on new sockets, and on all sockets in a new network. */
  review(call: CallOptions): void
  /** Discards all observations after a change of the network. */
  reset(): void
  readonly facts: () => NatFacts
  readonly natObservations: () => readonly NatObservation[]
  /** Resolves when no observer is being asked. */
  settled(): Promise<void>
}

/** The outcome of asking one observer, and the strategy that found it. */
type Outcome = { readonly entry: StrategyEntry } & (
  | { readonly sighting: NatObservation }
  | { readonly failure: NatError }
)

/** A lent socket, and what was observed of it in this network. */
interface Lent {
  readonly open: OpenSharedSocket
  readonly wakeup: Wakeup
  readonly outcomes: Map<string, Outcome>
  /** The ids of the observers that are not asked again. */
  readonly asked: Set<string>
  /** The family of the socket when it was last opened. */
  family: Family | undefined
  controller: AbortController | undefined
}

const replaced = abortReason('the network has changed')
const answered = abortReason('the observers have answered')

const minuteMs = 60_000

export function createObservers(context: Context): Observers {
  const { host, policy, bus, discoveries } = context
  const { clock } = host
  const lent = new Set<Lent>()
  const running = new Set<Promise<void>>()
  const askedMs = new Map<string, readonly number[]>()
  let known: NatKnowledge | undefined

  async function ask({ observer, entry }: Found, tap: SharedUdpSocket, call: CallOptions): Promise<Outcome> {
    const { party } = observer
    try {
      const observation = await attempt(
        async (bounded) => checkObservation(await observer.observe(tap, bounded), tap),
        policy.observeMs,
        clock,
        call
      )
      return { entry, sighting: { party, strategy: entry.name, endpoint: tap.endpoint, observation } }
    } catch (error) {
      call.signal.throwIfAborted()
      return { entry, failure: asNatError(error) }
    }
  }

  const toAsk = ({ family, asked }: Lent): readonly Found[] =>
    chooseObservers(discoveries.entries, family, policy.observers).filter(
      ({ observer }) => !asked.has(observer.party.id)
    )

  /** Asks the observers that have not been asked in this network. None is asked too often, however often networks
   * change. */
  async function round(each: Lent, { signal }: CallOptions): Promise<void> {
    const over = new AbortController()
    const call = { signal: anySignal([signal, over.signal]) }
    try {
      const tap = await attempt(async () => each.open(call), policy.requestTimeoutMs, clock, { signal })
      each.family = tap.endpoint.family
      noteOtherFamily(tap.endpoint.family)
      const found = toAsk(each)
      for (const { observer } of found) await pace(observer, { signal })
      for (const { observer } of found) each.asked.add(observer.party.id)
      await Promise.all(
        found.map(async (one) => {
          const outcome = await ask(one, tap, { signal })
          // The observation may be from the network before.
          signal.throwIfAborted()
          each.outcomes.set(one.observer.party.id, outcome)
          known = undefined
          bus.emit('reportChanged', undefined)
        })
      )
      for (const entry of new Set(found.map((one) => one.entry))) tell(entry)
    } finally {
      over.abort(answered)
    }
  }

  /** Records that none of a strategy's servers has an address of the socket's family, so that its line does not look as
   * if they would be asked. */
  function noteOtherFamily(family: Family): void {
    const able = chooseObservers(discoveries.entries, family, Number.POSITIVE_INFINITY)
    const told = outcomesOf()
    for (const entry of discoveries.entries) {
      if (entry.kind !== 'observer' || entry.abilities.size === 0) continue
      if ([...able, ...told].some((each) => each.entry === entry)) continue
      entry.status.failed(
        natError('UNREACHABLE', `no server has an IPv${family} address, and this machine asks over IPv${family}`)
      )
      bus.emit('reportChanged', undefined)
    }
  }

  /** Records that there was no socket to ask with. */
  function noteNoSocket(error: NatError): void {
    const told = outcomesOf()
    for (const entry of discoveries.entries) {
      if (entry.kind !== 'observer' || told.some((each) => each.entry === entry)) continue
      entry.status.failed(error)
      bus.emit('reportChanged', undefined)
    }
  }

  async function pace({ party: { id } }: Observer, call: CallOptions): Promise<void> {
    const isRecent = (at: number): boolean => at > clock.monotonicMs() - minuteMs
    for (const [other, times] of askedMs) if (!times.some(isRecent)) askedMs.delete(other)
    const recently = (askedMs.get(id) ?? []).filter(isRecent)
    const [oldest] = recently
    if (recently.length >= policy.maxRequestsPerMinute && oldest !== undefined)
      await clock.sleep(oldest + minuteMs - clock.monotonicMs(), call)
    askedMs.set(id, [...recently, clock.monotonicMs()])
  }

  /** Sets the failure in a strategy's line: that of its first observer if all of them failed, else a dispute if there
   * is one. */
  function tell(entry: StrategyEntry): void {
    const own = outcomesOf().filter((outcome) => outcome.entry === entry)
    const failures = own.flatMap((outcome) => ('failure' in outcome ? [outcome.failure] : []))
    const hasObserved = failures.length < own.length
    const failure = hasObserved ? knowledge().dispute : failures[0]
    entry.status.observersAnswered(hasObserved)
    if (failure === undefined) entry.status.succeeded()
    else entry.status.failed(failure)
    bus.emit('reportChanged', undefined)
  }

  const outcomesOf = (): readonly Outcome[] => [...lent].flatMap(({ outcomes }) => [...outcomes.values()])
  const natObservations = (): readonly NatObservation[] =>
    outcomesOf().flatMap((outcome) => ('sighting' in outcome ? [outcome.sighting] : []))
  const knowledge = (): NatKnowledge => (known ??= natOf(natObservations()))
  const succeeded = ({ outcomes }: Lent): boolean => [...outcomes.values()].some((outcome) => 'sighting' in outcome)

  async function watch(each: Lent, call: CallOptions): Promise<void> {
    let failures = 0
    let alike = 0
    let before = ''
    for (;;) {
      // Open no socket while there is no observer to ask.
      while (toAsk(each).length === 0) await each.wakeup.wait(Number.POSITIVE_INFINITY, call)
      const isLent = await round(each, call).then(
        () => true,
        (error: unknown) => {
          if (call.signal.aborted) return
          const failure = asNatError(error)
          host.log.debug(`no socket could be lent: ${failure.message}`)
          noteNoSocket(failure)
        }
      )
      call.signal.throwIfAborted()
      const says = JSON.stringify([...each.outcomes.values()].map(telling))
      alike = says === before ? alike + 1 : 1
      before = says
      failures = succeeded(each) ? 0 : failures + 1
      const retry = { ...policy.reobserve, initialMs: policy.retry.initialMs }
      const retryMs = failures > 0 ? backOffMs(retry, failures) : Number.POSITIVE_INFINITY
      const spacingMs = backOffMs(policy.reobserve, alike)
      await rest(each, { retryMs, spacingMs, isLent: isLent === true }, call)
    }
  }

  /** Waits for an observer that was not asked yet, for a doubt, or for the time to try again after a failure. */
  async function rest(
    each: Lent,
    { retryMs, spacingMs, isLent }: { readonly retryMs: number; readonly spacingMs: number; readonly isLent: boolean },
    call: CallOptions
  ): Promise<void> {
    const nowMs = clock.monotonicMs()
    let dueMs = nowMs + retryMs
    while (!isLent || toAsk(each).length === 0) {
      const why = await each.wakeup.wait(dueMs - clock.monotonicMs(), call)
      if (why === 'recheck') dueMs = Math.min(dueMs, nowMs + spacingMs)
      if (clock.monotonicMs() >= dueMs) return each.asked.clear()
    }
  }

  function start(each: Lent, { signal }: CallOptions): void {
    const controller = new AbortController()
    each.controller = controller
    const work: Promise<void> = watch(each, { signal: anySignal([signal, controller.signal]) })
      .catch((error: unknown) => {
        if (!controller.signal.aborted && !signal.aborted)
          host.log.info(`observing failed: ${printable(String(error))}`)
      })
      .finally(() => {
        running.delete(work)
        if (each.controller === controller) each.controller = undefined
      })
    running.add(work)
  }

  function forget(each: Lent): void {
    each.controller?.abort(replaced)
    each.controller = undefined
    each.family = undefined
    each.outcomes.clear()
    each.asked.clear()
    each.wakeup.clear()
    known = undefined
  }

  const wakeAll = (why: 'rescan' | 'recheck'): void => {
    for (const { wakeup } of lent) wakeup.wake(why)
  }
  bus.on('doubted', () => wakeAll('recheck'))
  bus.on('strategyChanged', ({ kind }) => {
    if (kind === 'observer') wakeAll('rescan')
  })

  return {
    lend(open, { signal }) {
      if (signal?.aborted === true) return
      const each: Lent = {
        open,
        wakeup: createWakeup(clock),
        outcomes: new Map(),
        asked: new Set(),
        family: undefined,
        controller: undefined
      }
      lent.add(each)
      signal?.addEventListener(
        'abort',
        () => {
          lent.delete(each)
          forget(each)
          bus.emit('reportChanged', undefined)
        },
        { once: true }
      )
      bus.emit('reportChanged', undefined)
    },
    review(call) {
      for (const each of lent)
        if (each.controller === undefined && !call.signal.aborted && toAsk(each).length > 0) start(each, call)
    },
    reset: () => lent.forEach(forget),
    facts() {
      const outcomes = outcomesOf()
      const isSilent =
        outcomes.length > 0 && outcomes.every((outcome) => 'failure' in outcome && isSilence(outcome.failure))
      return { ...knowledge(), isSilent }
    },
    natObservations,
    async settled() {
      await Promise.all(running)
    }
  }
}

/** The part of an outcome that decides whether it is the same as before. */
const telling = (outcome: Outcome): unknown =>
  'failure' in outcome ? outcome.failure.code : outcome.sighting.observation

const isSilence = ({ code }: NatError): boolean => code === 'NO_REPLY' || code === 'ATTEMPT_TIMEOUT'
