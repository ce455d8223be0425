import {
  type Ability,
  type CallOptions,
  canonicalAddress,
  type DescribedNotice,
  type Discovery,
  type Finding,
  type Gateway,
  type Host,
  isNatError,
  isNotice,
  type NatError,
  type Network,
  type Notice,
  natError,
  type ObservedNotice,
  type RemoteParty,
  type Strategy,
  untilAborted
} from '@postern/interface'
import { asNatError, graceMs } from '../async/attempt.js'
import { discoveryOf } from '../check-options.js'
import { reasonText } from '../model/events.js'
import { backOffMs, type Policy } from '../model/policy.js'
import type { RequestEvent } from '../model/request-event.js'
import { createStrategyStatus, type StrategyStatus } from './strategy-status.js'

/** A running strategy and its findings. */
export interface StrategyEntry {
  readonly name: string
  readonly rank: number
  /** What it looks for: as declared, else as its first finding shows; null while neither is known. */
  readonly kind: Ability['kind'] | null
  /** The gateway that the user named, if any. */
  readonly named: string | undefined
  /** How many leases of it to hold, if the user named a number. */
  readonly count: number | undefined
  readonly abilities: ReadonlyMap<string, Ability>
  /** Why nothing has been found so far. */
  readonly absence: NatError | undefined
  /** Why announcements of its router cannot be received, if they cannot. */
  readonly unheard: NatError | undefined
  /** How routers describe themselves, by address. */
  readonly described: ReadonlyMap<string, DescribedNotice>
  /** Whether it has reported anything in this pass. */
  readonly settled: boolean
  readonly tookMs: number | null
  readonly status: StrategyStatus
}

export interface Discoveries {
  readonly entries: readonly StrategyEntry[]
  /** Searches on this network until the signal aborts. Resolves when every strategy has finished. */
  search(network: Network, signal: AbortSignal): Promise<void>
}

/** A notice that concerns other parts than the discovery itself. */
export type DiscoveryNotice = Exclude<Notice, { what: 'absent' | 'unheard' | 'observed' | 'described' }>

export interface DiscoveriesEvents {
  changed(entry: StrategyEntry): void
  noticed(entry: StrategyEntry, notice: DiscoveryNotice): void
  observed(entry: StrategyEntry, notice: ObservedNotice): void
  /** A strategy has its first outcome in this search. */
  searched(event: RequestEvent): void
}

/** Further abilities of one strategy are ignored: so many are a mistake, or an attack on memory. */
const maxAbilities = 256

/** How a discovery ended. `done`: nothing more can come. `interrupted`: it was still listening, and had found
 * nothing or was aborted. `broken`: a fault in the strategy's own code. */
type End = 'done' | 'interrupted' | 'broken'

type Working = { -readonly [key in keyof StrategyEntry]: StrategyEntry[key] } & {
  readonly discovery: Discovery
  readonly abilities: Map<string, Ability>
  readonly described: Map<string, DescribedNotice>
  startedMs: number
}

/** A strategy that was created for this host, and its rank. */
export interface RankedDiscovery {
  readonly rank: number
  readonly discovery: Discovery
}

/** Creates the strategies for a host, in rank order. Throws a TypeError for one that cannot be created. */
export const createRanked = <H extends Host>(strategies: readonly Strategy<H>[], host: H): readonly RankedDiscovery[] =>
  strategies.map((strategy, rank) => ({ rank, discovery: discoveryOf(strategy, rank, host) }))

export function createDiscoveries(
  ranked: readonly RankedDiscovery[],
  host: Host,
  policy: Policy,
  events: DiscoveriesEvents
): Discoveries {
  const { clock } = host
  const entries = ranked.map(({ discovery, rank }): Working => {
    return {
      discovery,
      name: discovery.name,
      rank,
      kind: discovery.kind ?? null,
      named: discovery.gateway,
      count: discovery.count,
      abilities: new Map(),
      absence: undefined,
      unheard: undefined,
      described: new Map(),
      settled: false,
      tookMs: null,
      status: createStrategyStatus(),
      startedMs: 0
    }
  })

  function settle(entry: Working, absence: NatError | undefined): void {
    entry.settled = true
    entry.absence = absence
    if (entry.tookMs === null) {
      const durationMs = clock.monotonicMs() - entry.startedMs
      entry.tookMs = durationMs
      const outcome = absence === undefined ? 'success' : 'failure'
      events.searched({ strategy: entry.name, verb: 'discover', outcome, code: absence?.code ?? null, durationMs })
    }
    events.changed(entry)
  }

  function take(entry: Working, finding: Finding): void {
    if (!isNotice(finding)) {
      checkAbility(finding)
      const key = abilityKey(finding)
      if (!entry.abilities.has(key) && entry.abilities.size >= maxAbilities) return
      entry.abilities.set(key, finding)
      entry.kind ??= finding.kind
      return settle(entry, undefined)
    }
    if (finding.what === 'absent') {
      if (entry.abilities.size === 0) settle(entry, finding.reason)
      return
    }
    if (finding.what === 'unheard') {
      // Logged once: the same port fails on every gateway and in both families.
      if (entry.unheard === undefined) host.log.info(`${entry.name}: ${reasonText(finding.reason)}`)
      entry.unheard = finding.reason
      return events.changed(entry)
    }
    if (finding.what === 'described') {
      const { address } = finding.gateway
      if (entry.described.has(address) || entry.described.size < maxAbilities) entry.described.set(address, finding)
      return events.changed(entry)
    }
    if (finding.what === 'observed') {
      checkParty('observed address', finding.party)
      return events.observed(entry, finding)
    }
    if (finding.what === 'gone') entry.abilities.delete(abilityKey(finding.about))
    events.noticed(entry, finding)
    if (finding.what === 'gone') settle(entry, natError('NO_SERVICE', 'it announced that it is going away'))
  }

  /** Runs one discovery. Ends with the signal, when nothing more can come, or when nothing was found for too long. */
  async function discoverOnce(entry: Working, network: Network, signal: AbortSignal): Promise<End> {
    const controller = new AbortController()
    const stop = (): void => controller.abort(signal.reason)
    signal.addEventListener('abort', stop)
    const found = (finding: Finding): void => {
      if (!controller.signal.aborted) take(entry, finding)
    }
    const restartIfEmpty = async (): Promise<void> => {
      do await clock.sleep(policy.recheckIntervalMs, { signal: controller.signal })
      while (entry.abilities.size > 0)
      controller.abort()
    }
    const again = restartIfEmpty().catch(() => undefined)
    let isBroken = false
    try {
      await runBounded((call) => entry.discovery.discover(network, found, call), controller.signal)
      if (!controller.signal.aborted && entry.abilities.size === 0) {
        settle(entry, entry.absence ?? natError('NO_SERVICE', 'nothing was found'))
      }
    } catch (error) {
      if (!controller.signal.aborted) {
        isBroken = !isNatError(error)
        if (isBroken) report(entry, asNatError(error))
        else settle(entry, asNatError(error))
      }
    }
    const isInterrupted = controller.signal.aborted
    // Keep the timer only if something was found and the strategy did not fail: then its findings stay in use.
    if (isBroken || entry.abilities.size === 0) controller.abort()
    await again
    signal.removeEventListener('abort', stop)
    return isBroken ? 'broken' : isInterrupted ? 'interrupted' : 'done'
  }

  /** Records a fault in the strategy's own code. Earlier findings stay in use: the router has reported no change. */
  function report(entry: Working, fault: NatError): void {
    host.log.info(`${entry.name}: ${fault.message}; it is started again`)
    entry.status.failed(fault)
    settle(entry, fault)
  }

  /** Runs a discovery. After the signal has aborted it waits at most `graceMs` for the strategy to finish. */
  async function runBounded(discover: (call: CallOptions) => Promise<void>, signal: AbortSignal): Promise<void> {
    const done = new AbortController()
    const bound = async (): Promise<void> => {
      await untilAborted(signal)
      await clock.sleep(graceMs, done).catch(() => undefined)
    }
    try {
      await Promise.race([discover({ signal }), bound()])
    } finally {
      done.abort()
    }
  }

  async function keepSearching(entry: Working, network: Network, signal: AbortSignal): Promise<void> {
    let faults = 0
    while (!signal.aborted) {
      entry.startedMs = clock.monotonicMs()
      const end = await discoverOnce(entry, network, signal)
      // The strategy was still listening, so restart it at once and miss no announcement.
      if (end === 'interrupted') continue
      if (clock.monotonicMs() - entry.startedMs >= policy.recheckIntervalMs) faults = 0
      if (end === 'broken') faults += 1
      const waitMs =
        end === 'broken'
          ? Math.min(backOffMs(policy.retry, faults), policy.recheckIntervalMs)
          : policy.recheckIntervalMs
      await clock.sleep(waitMs, { signal }).catch(() => undefined)
    }
  }

  return {
    entries,
    async search(network, signal) {
      for (const entry of entries) {
        entry.abilities.clear()
        entry.absence = undefined
        entry.unheard = undefined
        entry.described.clear()
        entry.settled = false
        entry.tookMs = null
        entry.status.reset()
      }
      await Promise.all(entries.map((entry) => keepSearching(entry, network, signal)))
    }
  }
}

/** Throws a TypeError for an invalid mapper or party. A third-party strategy may break the types, and must not affect the
 * others. */
function checkAbility(ability: Ability): void {
  if (ability.kind === 'mapper') {
    const { gateway, protocols, map } = ability
    const isGateway = gateway === null || (typeof gateway === 'object' && typeof gateway.address === 'string')
    if (!isGateway || !Array.isArray(protocols) || typeof map !== 'function')
      throw new TypeError('the strategy found an invalid mapper: its gateway, protocols or map is wrong')
  } else if (ability.kind !== 'puncher') checkParty(ability.kind, ability.party)
}

function checkParty(kind: string, party: RemoteParty | undefined): void {
  if (typeof party?.id !== 'string' || typeof party.network !== 'string')
    throw new TypeError(`the strategy found an invalid ${kind}: the id or network of its party is not a text`)
}

/** Identifies an ability. A later finding with the same key replaces the earlier one. */
function abilityKey(ability: Ability): string {
  if (ability.kind === 'mapper')
    return `mapper ${ability.gateway ? gatewayKey(ability.gateway) : '-'} ${ability.family}`
  return ability.kind === 'puncher' ? 'puncher' : `${ability.kind} ${ability.party.id}`
}

/** Identifies a gateway. Link-local addresses repeat on every link, so the key contains the interface. */
export const gatewayKey = ({ address, interface: link }: Gateway): string => `${canonicalAddress(address)}%${link}`
