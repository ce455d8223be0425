import {
  anySignal,
  type CallOptions,
  type Endpoint,
  type Lease,
  type Mapper,
  type MapRequest,
  type NatError,
  printable
} from '@postern/interface'
import { asNatError, attempt } from './attempt.js'
import type { Bell } from './bell.js'
import type { Closing, Context } from './context.js'
import type { Failures } from './failures.js'
import { createHolder } from './ledger.js'
import { createLeftovers } from './leftovers.js'
import { keyBytes, type Memory } from './memory.js'
import { agreeOn } from './owners.js'
import { checkGrant, type Grant, type Held, type Publisher } from './publisher.js'
import type { Entry } from './roster.js'
import { ownPort, type Want } from './wants.js'

/** A mapper that can be asked for what is wanted. */
export interface Choice {
  readonly entry: Entry
  readonly mapper: Mapper
  readonly endpoint: Endpoint
}

/** Made once: an abort without a reason makes a new error with its stack. */
const inVain = new Error('the network is another one')

/** The mappers that are being asked for one want. The first grant is kept, and every later one is given back. */
export interface Acquiring {
  /** Asks one more. The bell rings when it has answered. */
  start(choice: Choice, call: CallOptions, last: Closing): void
  isAsked(mapper: Mapper): boolean
  /** Gives up those that are asked in vain: on a network that this host has left, for example. */
  abandon(isInVain: (choice: Choice) => boolean): void
  /** Whether any is being asked. */
  isUnderWay(): boolean
  /** How long to wait for those that are being asked before another one is asked as well, in ms; 0 if no longer. */
  patienceMs(): number
  /** They take long: what they were asked for is remembered, so that a run that is killed now finds it again. */
  remember(): void
  /** The first grant, once. */
  take(): Held | undefined
  /** Gives back a lease that nothing waits for any more. One that is the same mapping as a live one is given back at the
   * end. */
  giveBack(choice: Choice, lease: Lease, last: Closing): Promise<void>
  /** Waits for those that are being asked, whose signal has aborted, and deletes what may be left of all of them. */
  end(last: Closing): Promise<void>
}

interface Flight {
  readonly choice: Choice
  readonly cut: AbortController
  readonly done: Promise<void>
  remembered: Memory | undefined
  startedMs: number | undefined
}

export interface AcquiringParts {
  readonly want: Want
  readonly context: Context
  readonly failures: Failures
  readonly publisher: Publisher
  readonly bell: Bell
  /** The strategy whose lease is held, if one is. */
  readonly holder: () => Entry | undefined
  /** What a later answer has done to the lease that is held is not known. */
  readonly disturbed: () => void
}

export function createAcquiring(parts: AcquiringParts): Acquiring {
  const { want, context, failures, publisher, bell, holder: holding, disturbed } = parts
  const { host, policy, desks, memory, ledger, claims } = context
  const { clock } = host
  const flights = new Map<Mapper, Flight>()
  const leftovers = createLeftovers(context)
  let arrived: Held | undefined

  const heldBy = (): Entry | undefined => arrived?.entry ?? holding()
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

  function giveBack(choice: Choice, lease: Lease, last: Closing): Promise<void> {
    const { entry, mapper } = choice
    return desks
      .of(mapper.gateway)
      .serve(entry.name, () => release(choice, lease, last))
      .catch(() => undefined)
  }

  /** To be called in the turn of the strategy. */
  async function release({ entry, mapper, endpoint }: Choice, lease: Lease, last: Closing): Promise<void> {
    const bounded = (call: CallOptions): Promise<void> =>
      attempt((own) => lease.release(own), limitOf(mapper), clock, call)
    const isSame = lease.addresses.some(ledger.isHeld)
    // The same mapping as the live one. Of another strategy it may be an entry of its own.
    if (isSame && heldBy() === entry) return
    if (isSame) return leftovers.add({ strategy: entry.name, mapper, endpoint, remove: bounded, asked: undefined })
    // It is the mapping of another program of this host.
    if ((await claims.others(endpoint, lease.addresses)).length > 0) return
    // Another strategy was granted the same meanwhile.
    if (lease.addresses.some(ledger.isHeld)) {
      if (heldBy() !== entry)
        leftovers.add({ strategy: entry.name, mapper, endpoint, remove: bounded, asked: undefined })
      return
    }
    try {
      await bounded(last)
    } catch (error) {
      host.log.debug(`${entry.name}: a lease that came too late was not released: ${printable(String(error))}`)
      leftovers.add({ strategy: entry.name, mapper, endpoint, remove: bounded, asked: undefined })
    }
    disturbed()
  }

  /** Undefined where the grant is of no use any more. Rejects with a NatError or the signal's reason. */
  async function ask(flight: Flight, call: CallOptions, last: Closing): Promise<Held | undefined> {
    const { choice } = flight
    const { entry, mapper, endpoint } = choice
    const desk = desks.of(mapper.gateway)
    const holder = createHolder(endpoint, () => bell.ring('look'))
    // Written before the request leaves, so that a run that is killed now finds its mapping again.
    const recall = async (): Promise<Memory> => {
      const known = await memory.recall(mapper.gateway, endpoint, call)
      const agreed = await agreeOn(known, { claims, book: memory, want }, call)
      if (agreed.externalPort !== null) return agreed
      // Neither may it leave what the next run, with another port of its own, knows nothing of.
      const { suggestedExternalPort: port, lifetimeMs } = requestFor(choice, agreed)
      leftovers.note(entry.name, { memory: agreed, port, lifetimeMs })
      // Before it waits for its turn: of many at once, each would wait for a file with all of them.
      await memory.saved(call)
      return agreed
    }
    let remembered = await recall()
    return desk.serve(entry.name, async () => {
      if (call.signal.aborted) leftovers.settle(remembered)
      call.signal.throwIfAborted()
      // Another holder of the same endpoint has released it meanwhile.
      if (!memory.has(remembered)) remembered = await recall()
      const request = requestFor(choice, remembered)
      flight.remembered = remembered
      flight.startedMs = clock.monotonicMs()
      try {
        const late = (lease: Lease): void => last.track(giveBack(choice, lease, last))
        const lease = await attempt((bounded) => mapper.map(request, bounded), limitOf(mapper), clock, call, late)
        let good: Grant
        try {
          good = checkGrant(lease)
        } catch (error) {
          await release(choice, lease, last)
          throw error
        }
        if (isServed() || call.signal.aborted) {
          await release(choice, lease, last)
          return undefined
        }
        publisher.take(good.lease, holder)
        desk.heardMs.set(entry.name, clock.monotonicMs())
        return { ...good, want, entry, mapper, endpoint, memory: remembered, holder }
      } catch (error) {
        if (call.signal.aborted || mayRemain(error)) leave(choice, request, remembered)
        else leftovers.settle(remembered)
        throw error
      }
    })
  }

  /** Notes that a request may have made something. */
  function leave({ entry, mapper, endpoint }: Choice, request: MapRequest, about: Memory): void {
    if (mapper.undo === undefined) return
    const { suggestedExternalPort: port, lifetimeMs } = request
    const remove = (call: CallOptions): Promise<void> =>
      attempt(async (own) => mapper.undo?.(request, own), policy.undoMs, clock, call)
    leftovers.add({
      strategy: entry.name,
      mapper,
      endpoint,
      remove,
      asked: isServed() ? undefined : { memory: about, port, lifetimeMs }
    })
  }

  /** Deletes what failed attempts may have left. What another strategy holds may be the same entry of the router: it is left
   * until that is released. */
  function tidyUp(last: Closing): void {
    if (!leftovers.isEmpty() && !isServed()) last.track(leftovers.removeSome(last, isServed).then(disturbed))
  }

  async function fly(flight: Flight, call: CallOptions, last: Closing): Promise<void> {
    const { entry, mapper } = flight.choice
    entry.asking++
    try {
      const granted = await ask(flight, call, last)
      failures.granted(entry)
      entry.failure = undefined
      if (granted !== undefined) leftovers.taken(granted.memory)
      if (granted === undefined) return
      // Granted at the very moment at which it was not wanted any more, or another one was granted.
      if (!call.signal.aborted && !isServed()) arrived = granted
      else if (publisher.withdraw(granted)) await giveBack(flight.choice, granted.lease, last)
    } catch (error) {
      if (!call.signal.aborted) failures.add(entry, mapper, asNatError(error))
    } finally {
      entry.asking--
      flights.delete(mapper)
      bell.ring('look')
      if (!call.signal.aborted) tidyUp(last)
    }
  }

  return {
    isAsked: (mapper) => flights.has(mapper),
    abandon(isInVain) {
      for (const { choice, cut } of flights.values()) if (isInVain(choice)) cut.abort(inVain)
    },
    isUnderWay: () => flights.size > 0,
    giveBack,
    start(choice, call, last) {
      const cut = new AbortController()
      const flight: { -readonly [key in keyof Flight]: Flight[key] } = {
        choice,
        cut,
        done: Promise.resolve(),
        remembered: undefined,
        startedMs: undefined
      }
      flights.set(choice.mapper, flight)
      flight.done = fly(flight, { signal: anySignal([call.signal, cut.signal]) }, last)
      last.track(flight.done)
    },
    patienceMs() {
      let ms = 0
      for (const { choice, startedMs } of flights.values()) {
        const { entry, mapper } = choice
        // What waits for its turn waits as long as the one before it is waited for.
        const ownMs = startedMs === undefined ? undefined : startedMs + policy.attemptMs - clock.monotonicMs()
        ms = Math.max(ms, ownMs ?? desks.of(mapper.gateway).overdueInMs(entry.name) ?? policy.attemptMs)
      }
      return ms
    },
    remember() {
      for (const { choice, remembered } of flights.values()) {
        if (remembered === undefined || isServed()) continue
        const { suggestedExternalPort: port, lifetimeMs } = requestFor(choice, remembered)
        leftovers.note(choice.entry.name, { memory: remembered, port, lifetimeMs })
      }
    },
    take() {
      const grant = arrived
      arrived = undefined
      return grant
    },
    async end(last) {
      await Promise.all([...flights.values()].map(({ done }) => done))
      const grant = this.take()
      if (grant !== undefined && publisher.withdraw(grant)) await giveBack(grant, grant.lease, last)
      await leftovers.removeAll(last)
    }
  }
}

/** The port that is remembered, so that a mapping is taken back; but not against a wish that was not there then. */
const portToAsk = ({ externalPort }: Want, remembered: Memory): number | undefined =>
  externalPort === undefined || remembered.wantedPort === externalPort
    ? (remembered.externalPort ?? externalPort)
    : externalPort

/** Codes of a `map` that tell nothing of what has become of the request. */
const unsure: ReadonlySet<string> = new Set(['ATTEMPT_TIMEOUT', 'STRATEGY_FAULT'])

const mayRemain = (error: unknown): boolean => {
  const { code, mayRemain: told }: Pick<NatError, 'code' | 'mayRemain'> = asNatError(error)
  return told ?? unsure.has(code)
}
