import {
  abortReason,
  anySignal,
  type CallOptions,
  type Endpoint,
  type Lease,
  type Mapper,
  type MapRequest,
  type NatError,
  printable
} from '@postern/interface'
import { asNatError, attempt } from '../async/attempt.js'
import type { Wakeup } from '../async/wakeup.js'
import { createAddressHolder } from '../candidates/address-holders.js'
import type { Context, ShutdownScope } from '../context.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { ownPort, type WantedEndpoint } from '../discovery/endpoints.js'
import { keyBytes } from '../memory/mapping-memory.js'
import { type Memory } from '../memory/store.js'
import { agreeOn } from '../owners/mapping-owners.js'
import { checkGrant, type Grant } from './check-grant.js'
import { type Held, type Publisher } from './publish-mapping.js'
import type { Retry } from './retry.js'
import { createUncertainMappings } from './uncertain-mappings.js'

/** A mapper that can be asked for the wanted endpoint. */
export interface Choice {
  readonly entry: StrategyEntry
  readonly mapper: Mapper
  readonly endpoint: Endpoint
}

const inVain = abortReason('the network has changed')

/** The pending requests for one wanted endpoint. The first grant is kept, and later ones are released. */
export interface MappingRequests {
  /** Asks one more mapper. Wakes the loop when it has answered. */
  start(choice: Choice, call: CallOptions, shutdown: ShutdownScope): void
  isAsked(mapper: Mapper): boolean
  /** Aborts requests that have become pointless, on a network that this host has left for example. */
  abandon(isInVain: (choice: Choice) => boolean): void
  /** Whether any request is pending. */
  isUnderWay(): boolean
  /** Returns how long to wait for the pending requests before another mapper is asked too, in ms; 0 if no longer. */
  patienceMs(): number
  /** Stores what the pending requests ask for, so that the next run finds the mappings if this one is killed now. */
  remember(): void
  /** Returns the first grant, once. */
  take(): Held | undefined
  /** Releases a lease that came too late. If it is the same mapping as a live lease, it is released at the end. */
  giveBack(choice: Choice, lease: Lease, shutdown: ShutdownScope): Promise<void>
  /** Waits for the pending requests, which are aborted by now, and deletes what any of them may have left. */
  end(shutdown: ShutdownScope): Promise<void>
}

interface PendingRequest {
  readonly choice: Choice
  readonly cut: AbortController
  readonly done: Promise<void>
  remembered: Memory | undefined
  startedMs: number | undefined
}

export interface MappingRequestsParts {
  readonly want: WantedEndpoint
  readonly context: Context
  readonly retry: Retry
  readonly publisher: Publisher
  readonly wakeup: Wakeup
  /** Returns the strategy that granted the held lease, if there is one. */
  readonly holder: () => StrategyEntry | undefined
  /** Called when a late answer may have affected the held lease. */
  readonly disturbed: () => void
}

export function createMappingRequests(parts: MappingRequestsParts): MappingRequests {
  const { want, context, retry, publisher, wakeup, holder: currentEntry, disturbed } = parts
  const { host, policy, queues, memory, addressHolders, mappingOwners } = context
  const { clock } = host
  const pendingRequests = new Map<Mapper, PendingRequest>()
  const uncertainMappings = createUncertainMappings(context)
  let arrived: Held | undefined

  const heldBy = (): StrategyEntry | undefined => arrived?.entry ?? currentEntry()
  const isServed = (): boolean => heldBy() !== undefined
  const limitOf = ({ timeoutMs }: Mapper): number => timeoutMs ?? policy.verbMs

  function requestFor({ endpoint, entry, mapper }: Choice, remembered: Memory): MapRequest {
    const quirks = memory.quirks(mapper.gateway, entry.name)
    return {
      endpoint,
      suggestedExternalPort: portToAsk(want, remembered) ?? ownPort(endpoint.port),
      lifetimeMs: want.lifetimeMs,
      key: keyBytes(remembered),
      ...(quirks.length === 0 ? {} : { quirks })
    }
  }

  function giveBack(choice: Choice, lease: Lease, shutdown: ShutdownScope): Promise<void> {
    const { entry, mapper } = choice
    return queues
      .of(mapper.gateway)
      .run(entry.name, () => release(choice, lease, shutdown))
      .catch(() => undefined)
  }

  /** Must run in the strategy's turn in the queue of the gateway. */
  async function release({ entry, mapper, endpoint }: Choice, lease: Lease, shutdown: ShutdownScope): Promise<void> {
    const bounded = (call: CallOptions): Promise<void> =>
      attempt((own) => lease.release(own), limitOf(mapper), clock, call)
    const isSame = lease.addresses.some(addressHolders.isHeld)
    // This is the same mapping as the live one. Another strategy may have made it as an entry of its own.
    if (isSame && heldBy() === entry) return
    if (isSame)
      return uncertainMappings.add({ strategy: entry.name, mapper, endpoint, remove: bounded, asked: undefined })
    // Another program of this host holds this mapping.
    if ((await mappingOwners.others(endpoint, lease.addresses)).length > 0) return
    // Another strategy was granted the same mapping meanwhile.
    if (lease.addresses.some(addressHolders.isHeld)) {
      if (heldBy() !== entry)
        uncertainMappings.add({ strategy: entry.name, mapper, endpoint, remove: bounded, asked: undefined })
      return
    }
    try {
      await bounded(shutdown)
    } catch (error) {
      host.log.debug(`${entry.name}: a lease that came too late was not released: ${printable(String(error))}`)
      uncertainMappings.add({ strategy: entry.name, mapper, endpoint, remove: bounded, asked: undefined })
    }
    disturbed()
  }

  /** Asks a mapper. Resolves with undefined if the grant is no longer needed. Rejects with a NatError or the signal's
   * reason. */
  async function ask(
    pendingRequest: PendingRequest,
    call: CallOptions,
    shutdown: ShutdownScope
  ): Promise<Held | undefined> {
    const { choice } = pendingRequest
    const { entry, mapper, endpoint } = choice
    const queue = queues.of(mapper.gateway)
    const holder = createAddressHolder(endpoint, () => wakeup.wake('rescan'))
    // Store the key before the request is sent, so that the next run finds the mapping if this one is killed.
    const recall = async (): Promise<Memory> => {
      const known = await memory.recall(mapper.gateway, endpoint, call)
      const agreed = await agreeOn(known, { mappingOwners, memories: memory, want }, call)
      if (agreed.externalPort !== null) return agreed
      // Store the port as well: the next run may have another port, and would not know of this mapping.
      const { suggestedExternalPort: port, lifetimeMs } = requestFor(choice, agreed)
      uncertainMappings.note(entry.name, { memory: agreed, port, lifetimeMs })
      // Save before queueing. Otherwise each of many requests would, in its turn, wait for a file with all of them.
      await memory.saved(call)
      return agreed
    }
    let remembered = await recall()
    return queue.run(entry.name, async () => {
      if (call.signal.aborted) uncertainMappings.settle(remembered)
      call.signal.throwIfAborted()
      // Another holder of the endpoint has released the mapping meanwhile, and its memory was forgotten.
      if (!memory.has(remembered)) remembered = await recall()
      const request = requestFor(choice, remembered)
      pendingRequest.remembered = remembered
      pendingRequest.startedMs = clock.monotonicMs()
      try {
        const late = (lease: Lease): void => shutdown.track(giveBack(choice, lease, shutdown))
        const lease = await attempt((bounded) => mapper.map(request, bounded), limitOf(mapper), clock, call, late)
        let good: Grant
        try {
          good = checkGrant(lease)
        } catch (error) {
          await release(choice, lease, shutdown)
          throw error
        }
        if (isServed() || call.signal.aborted) {
          await release(choice, lease, shutdown)
          return undefined
        }
        publisher.take(good.lease, holder)
        queue.lastContactMs.set(entry.name, clock.monotonicMs())
        return { ...good, want, entry, mapper, endpoint, memory: remembered, holder }
      } catch (error) {
        if (call.signal.aborted || mayRemain(error)) leave(choice, request, remembered)
        else uncertainMappings.settle(remembered)
        throw error
      }
    })
  }

  /** Records that a request may have made a mapping. */
  function leave({ entry, mapper, endpoint }: Choice, request: MapRequest, about: Memory): void {
    if (mapper.undo === undefined) return
    const { suggestedExternalPort: port, lifetimeMs } = request
    const remove = (call: CallOptions): Promise<void> =>
      attempt(async (own) => mapper.undo?.(request, own), policy.undoMs, clock, call)
    uncertainMappings.add({
      strategy: entry.name,
      mapper,
      endpoint,
      remove,
      asked: isServed() ? undefined : { memory: about, port, lifetimeMs }
    })
  }

  /** Deletes what failed attempts may have left. While another strategy holds a mapping it waits: both may be the same
   * entry in the router. */
  function tidyUp(shutdown: ShutdownScope): void {
    if (!uncertainMappings.isEmpty() && !isServed())
      shutdown.track(uncertainMappings.removeSome(shutdown, isServed).then(disturbed))
  }

  async function fly(pendingRequest: PendingRequest, call: CallOptions, shutdown: ShutdownScope): Promise<void> {
    const { entry, mapper } = pendingRequest.choice
    entry.status.requestSent()
    try {
      const granted = await ask(pendingRequest, call, shutdown)
      retry.granted(entry)
      entry.status.succeeded()
      if (granted !== undefined) uncertainMappings.taken(granted.memory)
      if (granted === undefined) return
      // The grant arrived after the endpoint was removed, or after another grant.
      if (!call.signal.aborted && !isServed()) arrived = granted
      else if (publisher.withdraw(granted)) await giveBack(pendingRequest.choice, granted.lease, shutdown)
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
    isAsked: (mapper) => pendingRequests.has(mapper),
    abandon(isInVain) {
      for (const { choice, cut } of pendingRequests.values()) if (isInVain(choice)) cut.abort(inVain)
    },
    isUnderWay: () => pendingRequests.size > 0,
    giveBack,
    start(choice, call, shutdown) {
      const cut = new AbortController()
      const pendingRequest: { -readonly [key in keyof PendingRequest]: PendingRequest[key] } = {
        choice,
        cut,
        done: Promise.resolve(),
        remembered: undefined,
        startedMs: undefined
      }
      pendingRequests.set(choice.mapper, pendingRequest)
      pendingRequest.done = fly(pendingRequest, { signal: anySignal([call.signal, cut.signal]) }, shutdown)
      shutdown.track(pendingRequest.done)
    },
    patienceMs() {
      let ms = 0
      for (const { choice, startedMs } of pendingRequests.values()) {
        const { entry, mapper } = choice
        // A queued request waits as long as the running one of its strategy may.
        const ownMs = startedMs === undefined ? undefined : startedMs + policy.requestTimeoutMs - clock.monotonicMs()
        ms = Math.max(ms, ownMs ?? queues.of(mapper.gateway).overdueInMs(entry.name) ?? policy.requestTimeoutMs)
      }
      return ms
    },
    remember() {
      for (const { choice, remembered } of pendingRequests.values()) {
        if (remembered === undefined || isServed()) continue
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

/** Returns the remembered port, so that an existing mapping is reused, unless the application now names another one. */
const portToAsk = ({ externalPort }: WantedEndpoint, remembered: Memory): number | undefined =>
  externalPort === undefined || remembered.wantedPort === externalPort
    ? (remembered.externalPort ?? externalPort)
    : externalPort

/** Failures of `map` after which the router may have made the mapping all the same. */
const unsure: ReadonlySet<string> = new Set(['ATTEMPT_TIMEOUT', 'STRATEGY_FAULT'])

const mayRemain = (error: unknown): boolean => {
  const { code, mayRemain: told }: Pick<NatError, 'code' | 'mayRemain'> = asNatError(error)
  return told ?? unsure.has(code)
}
