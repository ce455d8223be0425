import {
  containerBridgeOf,
  type Gateway,
  type GatewayDevice,
  hasNextHop,
  isMapper,
  isVpnInterface,
  type Mapper,
  type NatError,
  type Network,
  natError,
  printable
} from '@postern/interface'
import type { Candidate } from '../candidates/candidates.js'
import type { StrategyEntry } from '../discovery/discoveries.js'
import { isOffRoute, isOnPath, nextHopBefore } from '../discovery/endpoints.js'
import { isAsked, isSearching } from '../discovery/search-progress.js'
import { reasonText } from '../model/events.js'
import type { CandidateReport, CandidateState, GatewayReport, StrategyReport, StrategyState } from '../model/report.js'

/** Returns the lines of one strategy in the report: its own, and one for each router that is found and not used. */
export function describeStrategy(
  entry: StrategyEntry,
  network: Network,
  wanted: boolean,
  isSearchTime: boolean
): readonly StrategyReport[] {
  const abilities = [...entry.abilities.values()]
  const secondary = abilities.flatMap((ability) =>
    ability.kind === 'mapper' && ability.gateway !== null && !isOnPath(ability, entry, network) ? [ability.gateway] : []
  )
  const onPath = abilities.length > secondary.length
  const tookMs = entry.tookMs === null ? null : Math.round(entry.tookMs * 10) / 10
  const { name, kind, rank } = entry
  const skipped = [...new Map(secondary.map((gateway) => [gateway.address, gateway])).values()].map(
    (gateway): StrategyReport => ({ name, kind, rank, state: 'skipped', tookMs, reason: skippedReason(gateway) })
  )
  if (!onPath && skipped.length > 0) return skipped
  const [state, reason] = stateOf(entry, onPath, wanted)
  const [offRoute] = abilities.flatMap((ability) =>
    ability.kind === 'mapper' && ability.gateway !== null && isOffRoute(ability.gateway, network)
      ? [ability.gateway]
      : []
  )
  // The most telling reason counts: a failure or a caveat, then a route that leads elsewhere, then unheard
  // announcements.
  const less = offRoute === undefined ? entry.unheard && pick(entry.unheard) : offRouteReason(offRoute, network)
  const doubted = reason === undefined ? less : pick(reason)
  const waitingFor = awaited(entry, isSearchTime)
  const line = {
    name,
    kind,
    rank,
    state,
    tookMs,
    reason: doubted ?? null,
    ...(waitingFor === undefined ? {} : { waitingFor })
  }
  return [line, ...skipped]
}

/** Returns the lines of one strategy at the routers behind a next hop. */
export function describeBeyond(
  entry: StrategyEntry,
  nextHop: Gateway,
  network: Network,
  wanted: boolean
): readonly StrategyReport[] {
  // Most next hops with a private address have no router behind them that maps: that is no news of each strategy.
  const [mapper] = mappersOf(entry)
  if (mapper?.gateway === undefined || mapper.gateway === null) return []
  const place = { gateway: mapper.gateway.address, through: nextHop.address }
  return describeStrategy(entry, network, wanted, true).map((line) => ({ ...line, ...place }))
}

/** Returns the mappers that a strategy has found. */
export const mappersOf = ({ abilities }: StrategyEntry): readonly Mapper[] => [...abilities.values()].filter(isMapper)

/** Returns what a strategy still waits for within the schedule of its protocol. */
function awaited(entry: StrategyEntry, isSearchTime: boolean): StrategyReport['waitingFor'] {
  const { asking, leases } = entry.status
  if (isAsked(entry) || (entry.kind === 'forwarder' && asking > 0 && leases === 0)) return 'grant'
  return isSearching(entry, isSearchTime) ? 'search' : undefined
}

function stateOf(
  entry: StrategyEntry,
  found: boolean,
  wanted: boolean
): readonly [StrategyState, NatError | undefined] {
  if (entry.status.leases > 0) return ['active', entry.status.failure ?? entry.status.caveat]
  if (!found) return ['unavailable', entry.absence ?? nothingYet(entry)]
  if (entry.status.failure !== undefined) return ['failed', entry.status.failure]
  if (entry.kind === 'observer') return [entry.status.hasObserved ? 'active' : 'available', undefined]
  return [wanted ? 'standby' : 'available', undefined]
}

const pick = (error: NatError): { code: string; message: string } => ({ code: error.code, message: reasonText(error) })

/** The reason that is shown until a strategy has found something or given a reason of its own. */
const nothingYet = ({ kind }: StrategyEntry): NatError =>
  natError('NO_REPLY', kind === 'observer' ? 'no server has been found yet' : 'nothing has been found yet')

const skippedReason = ({ address, interface: link }: Gateway): { code: string; message: string } => ({
  code: 'SECONDARY_GATEWAY',
  message: `the router ${address} on ${link || 'another link'} offers it too, but replies do not leave through it`
})

function offRouteReason(gateway: Gateway, network: Network): { code: string; message: string } {
  const { address, interface: link } = gateway
  const before = nextHopBefore(gateway, network)
  const message =
    before === undefined
      ? `replies do not leave through ${address} on ${link || 'another link'}: it works with policy routing only`
      : `${address} is behind ${before.address}, which passes on only what it maps or forwards itself`
  return { code: 'SECONDARY_GATEWAY', message }
}

/** Describes the default route, what it leads to if its name or address shows that, and the router as it describes
 * itself. */
export function describeGateway(gateway: Gateway, entries: readonly StrategyEntry[]): GatewayReport {
  const software = containerBridgeOf(gateway)
  const description = !hasNextHop(gateway)
    ? `point-to-point link${isVpnInterface(gateway.interface) ? ' of a VPN' : ''}, no router`
    : isVpnInterface(gateway.interface)
      ? 'next hop of a VPN'
      : software === undefined
        ? null
        : `container bridge of ${software}`
  const device = deviceAt(gateway, entries)
  return {
    address: gateway.address,
    interface: gateway.interface,
    description,
    ...(device === undefined ? {} : { device })
  }
}

/** The maximum length of a text of a device, in UTF-16 units. */
const maxDeviceText = 64

/** Returns how a router describes itself. A router with a next hop of IPv6 may have described itself over IPv4. */
function deviceAt({ address, mac }: Gateway, entries: readonly StrategyEntry[]): GatewayDevice | undefined {
  const notices = entries.flatMap(({ described }) => [...described.values()])
  const told =
    notices.find(({ gateway }) => gateway.address === address) ??
    notices.find(({ gateway }) => mac !== undefined && gateway.mac === mac)
  if (told === undefined) return undefined
  const { manufacturer, model, name } = told.device
  return { manufacturer: textOf(manufacturer), model: textOf(model), name: textOf(name) }
}

const textOf = (text: unknown): string | null => (typeof text === 'string' ? printable(text, maxDeviceText) : null)

/** The last moment that a Date can express (ECMA-262 §21.4.1.1), in Unix ms. */
const latestDateMs = 8.64e15

export function describeCandidate(candidate: Candidate, state: CandidateState): CandidateReport {
  const { address, type, strategy, endpoint, expiresAt, evidence, relay, through } = candidate
  return {
    address,
    type,
    strategy,
    endpoint:
      endpoint === null ? null : { protocol: endpoint.protocol, address: endpoint.address, port: endpoint.port },
    state,
    expiresAt: expiresAt === null || expiresAt > latestDateMs ? null : new Date(expiresAt).toISOString(),
    evidence: evidence.map((each) => ({ ...each, party: printable(each.party), network: printable(each.network) })),
    ...(relay === undefined ? {} : { relay }),
    ...(through === null ? {} : { through })
  }
}
