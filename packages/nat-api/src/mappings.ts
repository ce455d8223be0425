import type { MappingEvent } from '@postern/core'
import { abortReason, type Clock, errorText, type NatError, natError, waitAtMost } from '@postern/interface'
import type { TraversalRun } from '@postern/runtime'
import type { Bell } from './bell.js'
import { createEntry, type Entry, externalOf, isAbout, note, type PortToMap } from './entry.js'
import { failureOf, hasOtherPort, judge, type Ruling } from './judge.js'

/** The ports of one client. */
export interface Mappings {
  /** Maps a port until it is released. Resolves with the reason if it is not mapped. */
  map(port: PortToMap, isRenewed: boolean): Promise<NatError | undefined>
  /** Releases a port. Resolves with the reason if the router has not deleted the mapping. */
  release(entry: Entry): Promise<NatError | undefined>
  /** The ports that are wanted, mapped or not. */
  all(): readonly Entry[]
  /** Releases everything. Nothing runs after it has resolved. */
  close(): Promise<void>
}

export interface MappingsParts {
  readonly run: TraversalRun
  readonly clock: Clock
  /** Rings when something is known that may change the outcome of a call. */
  readonly bell: Bell
  /** What the first hop says against external addresses. */
  readonly contradicted: ReadonlyMap<string, NatError>
}

/** How long `map` waits for routers that are still searched for (ms). */
const searchMs = 3000
/** How long `map` waits until a router is asked, if none has failed (ms). */
const chooseMs = 1000
/** How long `map` waits for the check of an external address (ms). Most take a few ms; after this time there is no
 * evidence against the address. */
const checkMs = 6000
/** How long `map` waits for a router that was asked (ms). The request goes on after that. */
const grantMs = 15_000
/** How long `unmap` waits for a router (ms). The request goes on after that. */
const releaseMs = 10_000

/** How many ports a client continues to try to map after failures. It gives up the oldest. */
const maxRetried = 8

const released = abortReason('the port is no longer wanted')
/** The routers that may hold a mapping of one port. */
const levels = ['nextHop', 'beyond'] as const
const endedMessage = 'client is destroyed'

/** Maps ports on a traversal, which starts with the first of them. */
export function createMappings({ run, clock, bell, contradicted }: MappingsParts): Mappings {
  const { traversal } = run
  const entries = new Set<Entry>()
  const ended = new AbortController()
  /** When the traversal was started (monotonic ms); undefined before. */
  let startedMs: number | undefined
  let isSettled = false

  function start(): void {
    if (startedMs !== undefined) return
    startedMs = clock.monotonicMs()
    listen()
    run.ready().then(settled, settled)
  }

  /** Keeps the entries up to date. */
  function listen(): void {
    for (const name of ['mapped', 'changed', 'renewed', 'lost', 'released', 'failed'] as const) {
      traversal.addEventListener(name, ({ detail }) => {
        note(entries, detail)
        // A port that is still tried after a failure is not held if it is another one.
        for (const entry of entries) if (entry.state === 'failed' && hasOtherPort(entry)) release(entry).catch(noCause)
        bell.ring()
      })
    }
    for (const name of ['strategy', 'verdict'] as const) traversal.addEventListener(name, () => bell.ring())
  }

  function settled(): void {
    isSettled = true
    bell.ring()
  }

  async function outcomeOf(entry: Entry): Promise<NatError | undefined> {
    const sinceMs = clock.monotonicMs()
    for (;;) {
      if (ended.signal.aborted) return natError('NO_REPLY', endedMessage)
      if (entry.unwanted.signal.aborted) return natError('NO_REPLY', 'the port was unmapped before it was mapped')
      const ruling = judge(entry, traversal.report(), contradicted)
      if (ruling.is === 'mapped') return undefined
      if (ruling.is === 'refused') return ruling.error
      const leftMs = untilMs(entry, ruling, sinceMs) - clock.monotonicMs()
      if (leftMs <= 0) {
        if (ruling.is === 'doubtful') return ruling.error
        // Granted, and nothing was found against the address.
        if (externalOf(entry) !== null) return undefined
        return failureOf(entry.reasons ?? [], traversal.report().strategies, run.networkError())
      }
      await bell.heard(leftMs, ended)
    }
  }

  /** Returns until when a call waits for an outcome (monotonic ms). */
  function untilMs(entry: Entry, { is }: Ruling, sinceMs: number): number {
    const { candidates, strategies } = traversal.report()
    const waits = new Set(strategies.map(({ waitingFor }) => waitingFor))
    // A grant of the next hop is told once the router behind it has answered, or does not.
    const isGranted = candidates.some(
      ({ type, endpoint }) =>
        type === 'mapped' && endpoint?.protocol === entry.protocol && endpoint.port === entry.privatePort
    )
    if ((externalOf(entry) !== null || isGranted) && is === 'open') return sinceMs + checkMs
    if (waits.has('grant')) return sinceMs + grantMs
    // A call that comes later does not wait again for a network that is silent.
    const searchedMs = waits.has('search') || !isSettled ? (startedMs ?? sinceMs) + searchMs : sinceMs
    const isAsked = is !== 'doubtful' && entry.reasons !== undefined
    return isAsked ? searchedMs : Math.max(searchedMs, sinceMs + chooseMs)
  }

  async function ask(entry: Entry): Promise<NatError | undefined> {
    const error = await outcomeOf(entry).catch((fault: unknown) => natError('STRATEGY_FAULT', errorText(fault)))
    entry.state = error === undefined ? 'mapped' : 'failed'
    // Another port will not become the right one.
    if (error?.code === 'CONFLICT' && externalOf(entry) !== null) await release(entry)
    // A program may try one port after the other.
    const failed = [...entries].filter((each) => each.state === 'failed' && externalOf(each) === null)
    await Promise.all(failed.slice(0, -maxRetried).map(release))
    return error
  }

  /** Ends the mapping after its lifetime, which begins again with each call. */
  function expire(entry: Entry): void {
    entry.expiry?.abort(released)
    const expiry = new AbortController()
    entry.expiry = expiry
    // The sleep rejects if the mapping is released before, or is mapped again.
    clock
      .sleep(entry.lifetimeMs, expiry)
      .then(() => release(entry))
      .catch(noCause)
  }

  function add(port: PortToMap): Entry {
    const entry = createEntry(port)
    entries.add(entry)
    start()
    traversal.addEndpoint(
      { protocol: port.protocol, family: 4, address: '0.0.0.0', port: port.privatePort },
      {
        signal: entry.unwanted.signal,
        lifetimeMs: port.lifetimeMs,
        ...(port.publicPort === undefined ? {} : { externalPort: port.publicPort })
      }
    )
    entry.outcome = ask(entry)
    return entry
  }

  /** Returns the entry of the same ports, or an entry that is in the way. */
  const findEntry = ({ protocol, privatePort, publicPort }: PortToMap): Entry | undefined => {
    const others = [...entries].filter((each) => each.protocol === protocol)
    return (
      others.find((each) => each.privatePort === privatePort) ??
      others.find((each) => publicPort !== undefined && each.publicPort === publicPort)
    )
  }

  async function release(entry: Entry): Promise<NatError | undefined> {
    entry.expiry?.abort(released)
    if (!entries.delete(entry)) return undefined
    const told = endOf(entry)
    entry.unwanted.abort(released)
    bell.ring()
    return told
  }

  /** Resolves when the routers have deleted the mapping, or when others of this host keep it. */
  async function endOf(entry: Entry): Promise<NatError | undefined> {
    const left = new Set(levels.filter((level) => entry[level] !== null))
    if (left.size === 0) return undefined
    const heard = new AbortController()
    const over = Promise.withResolvers<undefined>()
    let failure: NatError | undefined
    const each = ({ detail }: CustomEvent<MappingEvent>): void => {
      if (!isAbout(entry, detail) || detail.external === null) return
      const { event, reasons = [], through } = detail
      if (event === 'failed') failure ??= failureOf(reasons)
      left.delete(through === undefined ? 'nextHop' : 'beyond')
      if (left.size === 0) over.resolve(undefined)
    }
    for (const name of ['released', 'lost', 'failed', 'shared'] as const)
      traversal.addEventListener(name, each, { signal: heard.signal })
    const late = natError('NO_REPLY', 'the router has not answered in time')
    const outcome = await waitAtMost(clock, releaseMs, over.promise, late, ended)
    heard.abort()
    return failure ?? outcome
  }

  return {
    async map(port, isRenewed) {
      let entry = findEntry(port)
      while (entry !== undefined) {
        const isSame = entry.privatePort === port.privatePort && entry.publicPort === port.publicPort
        if (isSame && (entry.state !== 'failed' || externalOf(entry) !== null)) break
        if (entry.state !== 'failed' && entry.publicPort !== undefined) return inTheWay(entry)
        // It has failed, and is asked for again or gives way to another try; or it was mapped only to learn the address.
        await release(entry)
        entry = findEntry(port)
      }
      if (ended.signal.aborted) return natError('NO_REPLY', endedMessage)
      if (entry === undefined) entry = add(port)
      else if (entry.state !== 'asked') entry.outcome = ask(entry)
      const error = await entry.outcome
      if (error === undefined && !isRenewed) expire(entry)
      return error
    },
    release,
    all: () => [...entries],
    async close() {
      ended.abort(released)
      bell.ring()
      for (const { expiry } of entries) expiry?.abort(released)
      if (startedMs !== undefined) await run.stop()
      for (const { unwanted } of entries) unwanted.abort(released)
      entries.clear()
    }
  }
}

const inTheWay = ({ publicPort, privatePort }: Entry): NatError =>
  natError('CONFLICT', `this client has mapped public port ${publicPort} to private port ${privatePort}`)

/** A caller that does not wait for a release has no use for its outcome. */
const noCause = (): undefined => undefined
