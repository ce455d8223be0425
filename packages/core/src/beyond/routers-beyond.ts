import { abortReason, canonicalAddress, type Gateway, type Network } from '@postern/interface'
import { createAddressHolders } from '../candidates/address-holders.js'
import { createClaimChecks } from '../candidates/claim-checks.js'
import type { Context, ShutdownScope } from '../context.js'
import { createDiscoveries, type Discoveries, gatewayKey, type RankedDiscovery } from '../discovery/discoveries.js'
import { primaryGateway } from '../discovery/endpoints.js'
import { createSearchProgress, isAsked } from '../discovery/search-progress.js'
import { guessRouters } from './guess-routers.js'

/** What is behind one next hop, while a mapping stands on one of its mappings. */
export interface LevelBeyond {
  readonly nextHop: Gateway
  readonly discoveries: Discoveries
  /** The context of the mappings there. */
  readonly context: Context
  /** Whether this host still has that next hop, with the same external address. */
  isHere(): boolean
  /** Whether every strategy has an answer, or has waited as long as a first pass waits. */
  hasSettled(): boolean
  /** Whether a router may still answer, or has been asked for a mapping. A slow router has not refused. */
  isPending(): boolean
  /** Ends the search when the last user has left. Call it once for each `enter`. */
  leave(): void
}

/** The external address that a next hop tells. */
export interface ExternalOfNextHop {
  readonly address: string
  /** Whether the next hop holds it. */
  readonly isTrue: boolean
}

/** The routers behind the next hop: the searches for them, one for all endpoints. */
export interface RoutersBeyond {
  /** Whether any strategy asks routers behind the next hop. */
  readonly canAsk: boolean
  /** Searches for the router that gave a next hop its external address, and returns what is found. */
  enter(nextHop: Gateway, external: ExternalOfNextHop, scope: Pick<ShutdownScope, 'track'>): LevelBeyond
  readonly levels: () => readonly LevelBeyond[]
}

/** How often to poll a router that this host cannot hear, in ms. A poll renews the oldest mapping there. */
const pollMs = 120_000
/** How long the strategies wait for a router that is slow to answer, in ms. */
const slowMs = 8000
/** How often to search again where no router has answered, in ms. */
const searchIntervalMs = 300_000

const over = abortReason('no mapping needs the router behind the next hop any more')
const nowhere: Network = { gateways: [], addresses: [] }

interface Level {
  readonly level: LevelBeyond
  users: number
  /** The next hop has another external address now. */
  isPast: boolean
}

export function createRoutersBeyond(context: Context): RoutersBeyond {
  const { host, policy, bus, ranked, discoveryEvents } = context
  const { clock } = host
  const levels = new Map<string, Level>()
  const able = ranked.filter(({ discovery }) => discovery.asksBeyond === true)

  /** Returns the strategies for one search, and the names of those that have an outcome for the first guess. */
  function createSearch(): { readonly strategies: readonly RankedDiscovery[]; readonly decided: ReadonlySet<string> } {
    const decided = new Set<string>()
    const strategies = able.map(({ rank, discovery }): RankedDiscovery => {
      const { name } = discovery
      return {
        rank,
        // Without the gateway that the user named: that is one in the network of this host.
        discovery: {
          name,
          kind: 'mapper',
          discover: (network, found, call) =>
            discovery.discover(
              network,
              (finding) => {
                const about = 'gateway' in finding ? finding.gateway : undefined
                if (about?.address === network.gateways[0]?.address || finding.kind === 'mapper') decided.add(name)
                found(finding)
              },
              call
            )
        }
      }
    })
    return { strategies, decided }
  }

  function open(
    key: string,
    nextHop: Gateway,
    { address, isTrue }: ExternalOfNextHop,
    { track }: Pick<ShutdownScope, 'track'>
  ): Level {
    const controller = new AbortController()
    const there: Network = {
      gateways: guessRouters(nextHop, isTrue ? address : undefined, context.network()),
      addresses: [address]
    }
    const { strategies, decided } = createSearch()
    const discoveries = createDiscoveries(
      strategies,
      host,
      { ...policy, recheckIntervalMs: Math.min(policy.recheckIntervalMs, searchIntervalMs) },
      discoveryEvents
    )
    const progress = createSearchProgress(clock, policy, discoveries)
    const isHere = createPresence(nextHop, context.network)
    const network = (): Network => (!opened.isPast && isHere() ? there : nowhere)
    const beganMs = clock.monotonicMs()
    progress.began()
    if (there.gateways.length > 0) track(discoveries.search(there, controller.signal))
    for (const afterMs of [policy.preferenceWindowMs, policy.firstPassMs, slowMs]) {
      const advanced = (): void => {
        bus.emit('searchAdvanced', undefined)
        bus.emit('reportChanged', undefined)
      }
      track(clock.sleep(afterMs, controller).then(advanced, () => undefined))
    }
    const level: LevelBeyond = {
      nextHop,
      discoveries,
      context: {
        ...context,
        policy: { ...policy, recheckIntervalMs: Math.min(policy.recheckIntervalMs, pollMs) },
        network,
        discoveries,
        progress,
        // An external address there lies beyond the next hop in any case.
        claimChecks: createClaimChecks(undefined, clock, () => undefined),
        addressHolders: createAddressHolders()
      },
      isHere: () => network() === there,
      hasSettled: () =>
        there.gateways.length === 0 ||
        clock.monotonicMs() - beganMs >= policy.firstPassMs ||
        able.every(({ discovery }) => decided.has(discovery.name)),
      isPending() {
        const { entries } = discoveries
        if (entries.some(({ status }) => status.leases > 0)) return false
        if (entries.some(isAsked)) return true
        const isSlow = clock.monotonicMs() - beganMs < slowMs
        // Most of these addresses are guesses, and do not answer.
        return (
          isTrue && isSlow && there.gateways.length > 0 && able.some(({ discovery }) => !decided.has(discovery.name))
        )
      },
      leave() {
        opened.users -= 1
        if (opened.users > 0) return
        controller.abort(over)
        if (levels.get(key) === opened) levels.delete(key)
      }
    }
    const opened: Level = { level, users: 0, isPast: false }
    return opened
  }

  return {
    canAsk: able.length > 0,
    enter(nextHop, external, scope) {
      const key = gatewayKey(nextHop)
      let current = levels.get(key)
      if (current === undefined || current.level.context.network().addresses[0] !== external.address) {
        if (current !== undefined) current.isPast = true
        current = open(key, nextHop, external, scope)
        levels.set(key, current)
      }
      current.users += 1
      return current.level
    },
    levels: () => [...levels.values()].map(({ level }) => level)
  }
}

/** Returns whether a next hop is still that of the default route. Looks once at each network. */
function createPresence(nextHop: Gateway, network: () => Network): () => boolean {
  let known: Network | undefined
  let isPresent = true
  return () => {
    const now = network()
    if (now === known) return isPresent
    known = now
    const primary = primaryGateway(now, 4)
    isPresent =
      primary !== undefined &&
      canonicalAddress(primary.address) === canonicalAddress(nextHop.address) &&
      primary.interface === nextHop.interface &&
      primary.localAddress === nextHop.localAddress &&
      (primary.mac === undefined || nextHop.mac === undefined || primary.mac === nextHop.mac)
    return isPresent
  }
}
