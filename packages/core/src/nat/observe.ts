import {
  abortReason,
  anySignal,
  type CallOptions,
  type Endpoint,
  type Family,
  type MultiaddrText,
  type NatError,
  printable,
  type SharedUdpSocket
} from '@postern/interface'
import { asNatError, attempt } from '../async/attempt.js'
import { createRequestRate } from '../async/request-rate.js'
import { createWakeup, type Wakeup } from '../async/wakeup.js'
import type { Context } from '../context.js'
import { backOffMs } from '../model/policy.js'
import { chooseObservers, type Found } from './choose-observers.js'
import type { NatFacts } from './nat-advice.js'
import { checkObservation, type NatKnowledge, type NatObservation, natOf } from './nat-behaviour.js'
import { createObserverStatus, type Outcome } from './observer-status.js'

/** Opens a UDP socket for observers, or returns one that is already open. The signal aborts when they have answered. */
export type OpenSharedSocket = (call: CallOptions) => SharedUdpSocket | Promise<SharedUdpSocket>

/** Has observers look at the lent sockets: once in each network, and again after a doubt or a failure. */
export interface Observers {
  /** Lends a socket until the signal aborts. */
  lend(open: OpenSharedSocket, call: Partial<CallOptions>): void
  /** Starts on new sockets, and on all sockets in a new network. */
  review(call: CallOptions): void
  /** Discards the observations over sockets of these families after a change of the network. */
  reset(families: readonly Family[]): void
  readonly facts: () => NatFacts
  readonly natObservations: () => readonly NatObservation[]
  /** Returns the networks of the observers that the sockets for which `isMine` holds have sent anything to. */
  contactedNetworks(isMine: (endpoint: Endpoint) => boolean): ReadonlySet<string>
  /** Returns the lent socket that observers see at this external address and that is bound to this endpoint. */
  socketAt(external: MultiaddrText, endpoint: Endpoint): ObservedSocket | undefined
  /** Resolves when no observer is being asked. */
  settled(): Promise<void>
}

/** A lent socket, and the observers that have seen it. */
export interface ObservedSocket {
  readonly open: OpenSharedSocket
  readonly endpoint: Endpoint
  readonly observers: readonly Found[]
  /** Discards what was observed, so that the observers are asked again. */
  forget(): void
}

/** A lent socket, and what was observed of it in this network. */
interface Lent {
  readonly open: OpenSharedSocket
  readonly wakeup: Wakeup
  readonly outcomes: Map<string, Outcome>
  /** The ids of the observers that are not asked again. */
  readonly asked: Set<string>
  /** The networks of the observers that were sent anything in this network, by the endpoint of the socket. The NAT may
   * let in what comes from there, whether they have answered or not. */
  readonly contacted: Map<Endpoint, Set<string>>
  /** The family of the socket when it was last opened. */
  family: Family | undefined
  controller: AbortController | undefined
}

const replaced = abortReason('the network has changed')
const answered = abortReason('the observers have answered')

export function createObservers(context: Context): Observers {
  const { host, policy, bus, requests, discoveries } = context
  const { clock } = host
  const lent = new Set<Lent>()
  const running = new Set<Promise<void>>()
  const rate = createRequestRate(clock, policy.maxRequestsPerMinute)
  let known: NatKnowledge | undefined

  async function ask({ observer, entry }: Found, tap: SharedUdpSocket, call: CallOptions): Promise<Outcome> {
    const { party } = observer
    try {
      const observation = await requests.attempt(
        { strategy: entry.name, verb: 'observe' },
        async (bounded) => checkObservation(await observer.observe(tap, bounded), tap),
        policy.observeMs,
        call
      )
      return { entry, observer, sighting: { party, strategy: entry.name, endpoint: tap.endpoint, observation } }
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
      status.noteOtherFamily(tap.endpoint.family)
      const found = toAsk(each)
      for (const { observer } of found) await rate.take(observer.party.id, { signal })
      for (const { observer } of found) {
        each.asked.add(observer.party.id)
        noteContact(each, tap.endpoint, observer.party.network)
      }
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
      for (const entry of new Set(found.map((one) => one.entry))) status.answered(entry)
    } finally {
      over.abort(answered)
    }
  }

  function noteContact({ contacted }: Lent, endpoint: Endpoint, network: string): void {
    const same = [...contacted.keys()].find(
      ({ address, port }) => address === endpoint.address && port === endpoint.port
    )
    const networks = contacted.get(same ?? endpoint) ?? new Set()
    contacted.set(same ?? endpoint, networks.add(network))
    // Before anything is sent: from then on, the NAT may let in what comes from there.
    bus.emit('contacted', undefined)
    bus.emit('reportChanged', undefined)
  }

  const outcomesOf = (): readonly Outcome[] => [...lent].flatMap(({ outcomes }) => [...outcomes.values()])
  const natObservations = (): readonly NatObservation[] =>
    outcomesOf().flatMap((outcome) => ('sighting' in outcome ? [outcome.sighting] : []))
  const knowledge = (): NatKnowledge => (known ??= natOf(natObservations()))
  const status = createObserverStatus(context, outcomesOf, knowledge)
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
          status.noteNoSocket(failure)
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
    each.contacted.clear()
    each.wakeup.clear()
    known = undefined
  }

  const wakeAll = (why: 'rescan' | 'recheck'): void => {
    for (const { wakeup } of lent) wakeup.wake(why)
  }
  bus.on('doubted', () => wakeAll('recheck'))
  bus.on('strategyChanged', (entry) => {
    if (entry.kind !== 'observer') return
    wakeAll('rescan')
    // A search begins with an empty line, also if the observers have answered before.
    if (entry.abilities.size > 0 && outcomesOf().some((outcome) => outcome.entry === entry)) status.answered(entry)
  })

  return {
    lend(open, { signal }) {
      if (signal?.aborted === true) return
      const each: Lent = {
        open,
        wakeup: createWakeup(clock),
        outcomes: new Map(),
        asked: new Set(),
        contacted: new Map(),
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
    reset(families) {
      for (const each of lent) if (each.family === undefined || families.includes(each.family)) forget(each)
    },
    facts() {
      const outcomes = outcomesOf()
      const isSilent =
        outcomes.length > 0 && outcomes.every((outcome) => 'failure' in outcome && isSilence(outcome.failure))
      return { ...knowledge(), isSilent }
    },
    natObservations,
    contactedNetworks(isMine) {
      const all = [...lent].flatMap(({ contacted }) => [...contacted])
      return new Set(all.flatMap(([endpoint, networks]) => (isMine(endpoint) ? [...networks] : [])))
    },
    socketAt(external, { address, port }) {
      for (const each of lent) {
        const seen = [...each.outcomes.values()].flatMap((outcome) =>
          'sighting' in outcome &&
          outcome.sighting.observation.address === external &&
          outcome.sighting.endpoint.address === address &&
          outcome.sighting.endpoint.port === port
            ? [outcome]
            : []
        )
        const [first] = seen
        if (first === undefined) continue
        const forgetSocket = (): void => {
          each.outcomes.clear()
          each.asked.clear()
          known = undefined
          each.wakeup.wake('rescan')
          bus.emit('reportChanged', undefined)
        }
        return {
          open: each.open,
          endpoint: first.sighting.endpoint,
          observers: seen,
          forget: forgetSocket
        }
      }
      return undefined
    },
    async settled() {
      await Promise.all(running)
    }
  }
}

/** The part of an outcome that decides whether it is the same as before. */
const telling = (outcome: Outcome): unknown =>
  'failure' in outcome ? outcome.failure.code : outcome.sighting.observation

const isSilence = ({ code }: NatError): boolean => code === 'NO_REPLY' || code === 'ATTEMPT_TIMEOUT'
