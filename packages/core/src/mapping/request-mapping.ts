import {
  abortReason,
  anySignal,
  type CallOptions,
  type Lease,
  type Mapper,
  type MapRequest,
  type NatError
} from '@postern/interface'
import { asNatError } from '../async/attempt.js'
import type { Wakeup } from '../async/wakeup.js'
import { createAddressHolder } from '../candidates/address-holders.js'
import type { Context, ShutdownScope } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import type { WantedEndpoint } from '../discovery/endpoints.js'
import { type Memory } from '../memory/store.js'
import { checkGrant, type Grant } from './check-grant.js'
import { type Choice, createLateGrants } from './late-grants.js'
import { createPreparation } from './prepare-request.js'
import type { GrantedMapping, Publisher } from './publish-mapping.js'
import type { Retry } from './retry.js'
import { createUncertainMappings } from './uncertain-mappings.js'

const pointless = abortReason('the network has changed')

/** The pending requests for one wanted endpoint. The first grant is kept, and later ones are released. */
export interface MappingRequests {
  /** Agrees on a key with other programs of this host before it is needed. Does not reject. */
  prepare(call: CallOptions): Promise<void>
  /** Asks one more mapper. Wakes the loop when it has answered. */
  start(choice: Choice, call: CallOptions, shutdown: ShutdownScope): void
  isAsked(mapper: Mapper): boolean
  /** Aborts requests that have become pointless, on a network that this host has left for example. */
  abortEach(isPointless: (choice: Choice) => boolean): void
  /** Whether any request is pending. */
  isPending(): boolean
  /** Returns how long to wait for the pending requests before another mapper is asked too, in ms; 0 if no longer. */
  patienceMs(): number
  /** Stores what the pending requests ask for, so that the next run finds the mappings if this one is killed now. */
  remember(): void
  /** Returns the first grant, once. */
  take(): GrantedMapping | undefined
  /** Releases a lease that came too late. If it is the same mapping as a live lease, it is released at the end. */
  giveBack(choice: Choice, lease: Lease, shutdown: ShutdownScope): Promise<void>
  /** Waits for the pending requests, which are aborted by now, and deletes what any of them may have left. */
  end(shutdown: ShutdownScope): Promise<void>
}

interface PendingRequest {
  readonly choice: Choice
  readonly controller: AbortController
  /** Resolves when the request has ended. */
  done: Promise<void>
  /** The memory that the request was made from, and when it was sent; undefined while it is queued. */
  remembered: Memory | undefined
  sentMs: number | undefined
}

/** What came of one request: a grant, or a lease that is of no use and is to be released. */
type Outcome = { readonly granted: GrantedMapping } | { readonly useless: Lease; readonly error?: NatError }

export interface MappingRequestsParts {
  readonly want: WantedEndpoint
  readonly context: Context
  readonly retry: Retry
  readonly publisher: Publisher
  readonly wakeup: Wakeup
  /** Returns the strategy that granted the active mapping, if there is one. */
  readonly activeEntry: () => StrategyEntry | undefined
  /** Called when a late answer may have affected the active mapping. */
  readonly disturbed: () => void
}

export function createMappingRequests(parts: MappingRequestsParts): MappingRequests {
  const { want, context, retry, publisher, wakeup, activeEntry, disturbed } = parts
  const { host, policy, queues, memory, requests } = context
  const { clock } = host
  const pendingRequests = new Map<Mapper, PendingRequest>()
  let arrived: GrantedMapping | undefined

  const currentEntry = (): StrategyEntry | undefined => arrived?.entry ?? activeEntry()
  const isMapped = (): boolean => currentEntry() !== undefined
  const uncertainMappings = createUncertainMappings(context)
  const { agreeEarly, recall, requestFor } = createPreparation(context, want, uncertainMappings)
  const { giveBack } = createLateGrants({ context, uncertainMappings, currentEntry, disturbed })

  /** Asks a mapper in the strategy's turn in the queue of its gateway. Resolves with undefined if the grant is no longer
   * needed. Rejects with a NatError or the signal's reason. */
  async function ask(
    pending: PendingRequest,
    call: CallOptions,
    shutdown: ShutdownScope
  ): Promise<GrantedMapping | undefined> {
    const { choice } = pending
    const remembered = await recall(choice, call)
    const outcome = await queues.of(choice.mapper.gateway).run(choice.entry.name, async () => {
      if (call.signal.aborted) uncertainMappings.settle(remembered)
      call.signal.throwIfAborted()
      // Another holder of the endpoint may have released the mapping meanwhile, and its memory was forgotten.
      pending.remembered = memory.has(remembered) ? remembered : await recall(choice, call)
      pending.sentMs = clock.monotonicMs()
      return send(choice, pending.remembered, call, shutdown)
    })
    if ('granted' in outcome) return outcome.granted
    // In a turn of its own: another strategy may have overtaken this one while the gateway was slow.
    await giveBack(choice, outcome.useless, shutdown)
    if (outcome.error !== undefined) throw outcome.error
    return undefined
  }

  async function send(
    choice: Choice,
    remembered: Memory,
    call: CallOptions,
    shutdown: ShutdownScope
  ): Promise<Outcome> {
    const { entry, mapper, endpoint } = choice
    const request = requestFor(choice, remembered)
    const holder = createAddressHolder(endpoint, () => wakeup.wake('rescan'))
    const late = (lease: Lease): void => shutdown.track(giveBack(choice, lease, shutdown))
    const limitMs = mapper.timeoutMs ?? policy.verbMs
    try {
      const subject = { strategy: entry.name, verb: 'map' } as const
      const lease = await requests.attempt(subject, (bounded) => mapper.map(request, bounded), limitMs, call, late)
      const good = checked(lease)
      if (!('lease' in good)) {
        uncertainMappings.settle(remembered)
        return { useless: lease, error: good }
      }
      if (isMapped() || call.signal.aborted) return { useless: lease }
      publisher.take(good.lease, holder)
      queues.of(mapper.gateway).lastContactMs.set(entry.name, clock.monotonicMs())
      return { granted: { ...good, want, entry, mapper, endpoint, memory: remembered, holder } }
    } catch (error) {
      if (call.signal.aborted || mayRemain(error)) recordUncertain(choice, request, remembered)
      else uncertainMappings.settle(remembered)
      throw error
    }
  }

  /** Records that a request may have made a mapping. */
  function recordUncertain({ entry, mapper, endpoint }: Choice, request: MapRequest, about: Memory): void {
    if (mapper.undo === undefined) return
    const { suggestedExternalPort: port, lifetimeMs } = request
    const remove = (call: CallOptions): Promise<void> =>
      requests.attempt(
        { strategy: entry.name, verb: 'undo' },
        async (own) => mapper.undo?.(request, own),
        policy.undoMs,
        call
      )
    uncertainMappings.add({
      strategy: entry.name,
      mapper,
      endpoint,
      remove,
      asked: isMapped() ? undefined : { memory: about, port, lifetimeMs }
    })
  }

  /** Deletes what failed attempts may have left. While another strategy holds a mapping it waits: both may be the same
   * entry in the router. */
  function tidyUp(shutdown: ShutdownScope): void {
    if (!uncertainMappings.isEmpty() && !isMapped())
      shutdown.track(uncertainMappings.removeSome(shutdown, isMapped).then(disturbed))
  }

  /** Makes one request, from the question to its consequences. Does not reject. */
  async function run(pending: PendingRequest, call: CallOptions, shutdown: ShutdownScope): Promise<void> {
    const { entry, mapper } = pending.choice
    entry.status.requestSent()
    try {
      const granted = await ask(pending, call, shutdown)
      retry.granted(entry)
      entry.status.succeeded()
      if (granted === undefined) return
      uncertainMappings.taken(granted.memory)
      // The grant may have arrived after the endpoint was removed, or after another grant.
      if (!call.signal.aborted && !isMapped()) arrived = granted
      else if (publisher.withdraw(granted)) await giveBack(pending.choice, granted.lease, shutdown)
    } catch (error) {
      if (!call.signal.aborted) retry.failed(entry, mapper, asNatError(error))
    } finally {
      entry.status.requestAnswered()
      pendingRequests.delete(mapper)
      wakeup.wake('rescan')
      if (!call.signal.aborted) tidyUp(shutdown)
    }
  }

  return {
    prepare: (call) => agreeEarly(call).catch(() => undefined),
    isAsked: (mapper) => pendingRequests.has(mapper),
    abortEach(isPointless) {
      for (const { choice, controller } of pendingRequests.values())
        if (isPointless(choice)) controller.abort(pointless)
    },
    isPending: () => pendingRequests.size > 0,
    giveBack,
    start(choice, call, shutdown) {
      const controller = new AbortController()
      const pending: PendingRequest = {
        choice,
        controller,
        done: Promise.resolve(),
        remembered: undefined,
        sentMs: undefined
      }
      pendingRequests.set(choice.mapper, pending)
      pending.done = run(pending, { signal: anySignal([call.signal, controller.signal]) }, shutdown)
      shutdown.track(pending.done)
    },
    patienceMs() {
      let ms = 0
      for (const { choice, sentMs } of pendingRequests.values()) {
        const { entry, mapper } = choice
        // A queued request waits as long as the running one of its strategy may.
        const ownMs = sentMs === undefined ? undefined : sentMs + policy.requestTimeoutMs - clock.monotonicMs()
        ms = Math.max(ms, ownMs ?? queues.of(mapper.gateway).overdueInMs(entry.name) ?? policy.requestTimeoutMs)
      }
      return ms
    },
    remember() {
      for (const { choice, remembered } of pendingRequests.values()) {
        if (remembered === undefined || isMapped()) continue
        const { suggestedExternalPort: port, lifetimeMs } = requestFor(choice, remembered)
        uncertainMappings.note(choice.entry.name, { memory: remembered, port, lifetimeMs })
      }
    },
    take() {
      const grant = arrived
      arrived = undefined
      return grant
    },
    async end(shutdown) {
      await Promise.all([...pendingRequests.values()].map(({ done }) => done))
      const grant = this.take()
      if (grant !== undefined && publisher.withdraw(grant)) await giveBack(grant, grant.lease, shutdown)
      await uncertainMappings.removeAll(shutdown)
    }
  }
}

/** Returns the grant, or why it is invalid. */
function checked(lease: Lease): Grant | NatError {
  try {
    return checkGrant(lease)
  } catch (error) {
    return asNatError(error)
  }
}

/** Failures of `map` after which the router may have made the mapping all the same. */
const uncertainCodes: ReadonlySet<string> = new Set(['ATTEMPT_TIMEOUT', 'STRATEGY_FAULT'])

const mayRemain = (error: unknown): boolean => {
  const { code, mayRemain: told }: Pick<NatError, 'code' | 'mayRemain'> = asNatError(error)
  return told ?? uncertainCodes.has(code)
}
