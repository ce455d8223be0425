import {
  type Ability,
  type CallOptions,
  canonicalAddress,
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
  type Strategy
} from '@postern/interface'
import { asNatError, graceMs } from './attempt.js'
import { ended } from './bell.js'
import { checkDiscovery } from './check-options.js'
import { reasonText } from './events.js'
import { backOffMs, type Policy } from './policy.js'

/** A strategy at work, and what it has found. */
export interface Entry {
  readonly name: string
  readonly rank: number
  /** What it looks for: as it says itself, else as what it found; null where neither tells. */
  readonly kind: Ability['kind'] | null
  /** The gateway its user named, if any. */
  readonly named: string | undefined
  /** How many leases of it to hold, where its user named a number. */
  readonly count: number | undefined
  readonly abilities: ReadonlyMap<string, Ability>
  /** Why nothing was found so far. */
  readonly absence: NatError | undefined
  /** Why the announcements of its router cannot be heard, where that is so. */
  readonly unheard: NatError | undefined
  /** Whether it has said anything in this pass. */
  readonly settled: boolean
  readonly tookMs: number | null
  /** What its abilities last failed with; undefined as long as they do what is asked. */
  failure: NatError | undefined
  /** What could not be checked of its last grant. */
  caveat: NatError | undefined
  /** How many verbs that may grant something its abilities have not answered yet. */
  asking: number
  /** How many leases live that its abilities granted. */
  leases: number
  /** Whether its observers have answered. */
  hasTold: boolean
}

export interface Roster {
  readonly entries: readonly Entry[]
  /** Searches on this network until the signal aborts. Resolves when every strategy has let go. */
  search(network: Network, signal: AbortSignal): Promise<void>
}

export interface RosterEvents {
  changed(entry: Entry): void
  notice(entry: Entry, notice: Exclude<Notice, { what: 'absent' | 'unheard' }>): void
}

/** More parties than this from one strategy are a mistake, or an attack on our memory. */
const mostAbilities = 256

/** How a discovery ended: nothing more can come, it still looked and had found nothing, or a fault of its own. */
type End = 'done' | 'barren' | 'broken'

type Working = { -readonly [key in keyof Entry]: Entry[key] } & {
  readonly discovery: Discovery
  readonly abilities: Map<string, Ability>
  startedMs: number
}

export function createRoster<H extends Host>(
  strategies: readonly Strategy<H>[],
  host: H,
  policy: Policy,
  events: RosterEvents
): Roster {
  const { clock } = host
  const entries = strategies.map((strategy, rank): Working => {
    const discovery = strategy(host)
    checkDiscovery(discovery, rank)
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
      settled: false,
      tookMs: null,
      failure: undefined,
      caveat: undefined,
      asking: 0,
      leases: 0,
      hasTold: false,
      startedMs: 0
    }
  })

  function settle(entry: Working, absence: NatError | undefined): void {
    entry.settled = true
    entry.absence = absence
    entry.tookMs ??= clock.monotonicMs() - entry.startedMs
    events.changed(entry)
  }

  function take(entry: Working, finding: Finding): void {
    if (!isNotice(finding)) {
      checkAbility(finding)
      const key = abilityKey(finding)
      if (!entry.abilities.has(key) && entry.abilities.size >= mostAbilities) return
      entry.abilities.set(key, finding)
      entry.kind ??= finding.kind
      return settle(entry, undefined)
    }
    if (finding.what === 'absent') {
      if (entry.abilities.size === 0) settle(entry, finding.reason)
      return
    }
    if (finding.what === 'unheard') {
      // Said once: the same port is missed on every gateway and in both families.
      if (entry.unheard === undefined) host.log.info(`${entry.name}: ${reasonText(finding.reason)}`)
      entry.unheard = finding.reason
      return events.changed(entry)
    }
    if (finding.what === 'gone') entry.abilities.delete(abilityKey(finding.about))
    events.notice(entry, finding)
    if (finding.what === 'gone') settle(entry, natError('NO_SERVICE', 'it said that it is going away'))
  }

  /** One discovery; ends with the signal, when nothing more can come, or when it has found nothing for too long. */
  async function discoverOnce(entry: Working, network: Network, signal: AbortSignal): Promise<End> {
    const cut = new AbortController()
    const stop = (): void => cut.abort(signal.reason)
    signal.addEventListener('abort', stop)
    const found = (finding: Finding): void => {
      if (!cut.signal.aborted) take(entry, finding)
    }
    const barren = async (): Promise<void> => {
      do await clock.sleep(policy.pollMs, { signal: cut.signal })
      while (entry.abilities.size > 0)
      cut.abort()
    }
    const again = barren().catch(() => undefined)
    let isBroken = false
    try {
      await letGo((call) => entry.discovery.discover(network, found, call), cut.signal)
      if (!cut.signal.aborted && entry.abilities.size === 0) {
        settle(entry, entry.absence ?? natError('NO_SERVICE', 'nothing was found'))
      }
    } catch (error) {
      if (!cut.signal.aborted) {
        isBroken = !isNatError(error)
        if (isBroken) report(entry, asNatError(error))
        else settle(entry, asNatError(error))
      }
    }
    const isBarren = cut.signal.aborted
    // What it found lives on; where that is nothing, or the strategy is to start again, there is nothing to wait for.
    if (isBroken || entry.abilities.size === 0) cut.abort()
    await again
    signal.removeEventListener('abort', stop)
    return isBroken ? 'broken' : isBarren ? 'barren' : 'done'
  }

  /** A fault in the strategy's own code. What it found before stays in use: the router has not said anything new. */
  function report(entry: Working, fault: NatError): void {
    host.log.info(`${entry.name}: ${fault.message}; it is started again`)
    entry.failure = fault
    settle(entry, fault)
  }

  /** Runs a discovery; once the signal has aborted it does not wait for a strategy that holds on. */
  async function letGo(discover: (call: CallOptions) => Promise<void>, signal: AbortSignal): Promise<void> {
    const done = new AbortController()
    const bound = async (): Promise<void> => {
      await ended(signal)
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
      // A strategy that still listens for a router that comes later begins anew at once, and misses nothing.
      if (end === 'barren') continue
      if (clock.monotonicMs() - entry.startedMs >= policy.pollMs) faults = 0
      if (end === 'broken') faults += 1
      const waitMs = end === 'broken' ? Math.min(backOffMs(policy.retry, faults), policy.pollMs) : policy.pollMs
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
        entry.settled = false
        entry.tookMs = null
        entry.failure = undefined
        entry.caveat = undefined
        entry.hasTold = false
      }
      await Promise.all(entries.map((entry) => keepSearching(entry, network, signal)))
    }
  }
}

/** Strategies come from anywhere: what they find is not what the types promise, and one must not spoil the others. */
function checkAbility(ability: Ability): void {
  if (ability.kind !== 'mapper') return
  const { gateway, protocols, map } = ability
  const isGateway = gateway === null || (typeof gateway === 'object' && typeof gateway.address === 'string')
  if (!isGateway || !Array.isArray(protocols) || typeof map !== 'function')
    throw new TypeError('what was found is no mapper: its gateway, protocols or map are not what they must be')
}

/** A second find with the same key replaces the first. */
function abilityKey(ability: Ability): string {
  if (ability.kind === 'mapper')
    return `mapper ${ability.gateway ? gatewayKey(ability.gateway) : '-'} ${ability.family}`
  return ability.kind === 'puncher' ? 'puncher' : `${ability.kind} ${ability.party.id}`
}

/** Link-local addresses are the same on every link, so the interface belongs to the name of a gateway. */
export const gatewayKey = ({ address, interface: link }: Gateway): string => `${canonicalAddress(address)}%${link}`
