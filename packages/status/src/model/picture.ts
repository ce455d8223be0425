import type { CandidateReport, Cause, Report } from '@postern/core'
import { parseMultiaddr } from '@postern/interface'
import { causeWords, shortParty } from './words.js'

/** How a place or a way is. `broken`: here it stops. `idle`: not reached, because it is beyond the broken spot. */
export type Mark = 'ok' | 'broken' | 'unknown' | 'idle'

/** A place in the picture. */
export interface Place {
  readonly id: string
  readonly kind: 'machine' | 'router' | 'carrier' | 'internet' | 'relay' | 'forwarder' | 'witness' | 'observer'
  /** What it is, in a word or two. */
  readonly name: string
  /** What is known of it, a few words each. */
  readonly details: readonly string[]
  readonly mark: Mark
  /** Whether it stands for others that do not fit into the picture. */
  readonly isRest?: boolean
}

/** The way between two places. */
export interface Way {
  readonly from: string
  readonly to: string
  readonly mark: Mark
}

/** Where connections stop. */
export interface Broken {
  /** The id of the place. */
  readonly at: string
  /** Where it is, in words: `Stops at: Router`. */
  readonly where: string
  /** Why, as a sentence. */
  readonly text: string
}

/** The way in, from this machine to the internet and the hosts there. */
export interface Picture {
  /** The places from this machine to the internet. */
  readonly chain: readonly Place[]
  /** The relays, forwarders, witnesses and observers on the internet. */
  readonly outside: readonly Place[]
  /** The ways between the places of the chain, then from the internet to those outside, then from a relay or a forwarder to this
   * machine, if only that one leads in. */
  readonly ways: readonly Way[]
  /** The place that stops connections, or the one that they do not reach (`before`); null if nothing stops them. */
  readonly broken: Broken | null
  /** The relay or forwarder that connections come through instead; null if there is none, or they come directly. */
  readonly detour: string | null
  /** The picture in words. */
  readonly summary: string
}

const maxDetails = 3
const maxOutside = 6

/** Where each cause is in the picture: a place, or the way before a place. */
const spots: Readonly<Record<Cause, 'machine' | 'first' | 'last' | 'carrier' | 'way-out' | 'way-in' | null>> = {
  'loopback-only': 'machine',
  'no-route': 'way-out',
  'container-bridge': 'first',
  'vpn-default-route': 'first',
  'no-mapping-service': 'first',
  'gateway-refused': 'first',
  'double-nat': 'carrier',
  'carrier-nat': 'carrier',
  'reserved-external-address': 'carrier',
  'mapping-not-honoured': 'last',
  blocked: 'way-in',
  unverified: null
}

/** Draws the way in, from the report alone. */
export function pictureOf(report: Report): Picture {
  const { cause, verdict } = report
  const spot = cause === null || verdict === 'public' ? null : spots[cause]
  const routers = routersOf(report)
  const beyond = beyondOf(report, routers.length)
  const plain: readonly Place[] = [machineOf(report), ...routers, ...beyond, internetOf(report)]
  const at = placeOfSpot(spot, plain.length, routers.length, beyond.length)
  const isWay = spot === 'way-out' || spot === 'way-in'
  const good: Mark = verdict === 'unknown' ? 'unknown' : 'ok'
  const chain = plain.map((place, index): Place => {
    if (at === undefined) return { ...place, mark: good }
    if (index === at && !isWay) return { ...place, mark: 'broken' }
    return { ...place, mark: index < at || place.kind === 'internet' ? 'ok' : 'idle' }
  })
  const between = chain.slice(1).map((place, index): Way => {
    const before = chain[index]?.id ?? ''
    const mark = at === undefined ? good : isWay && index + 1 === at ? 'broken' : index + 1 <= at ? 'ok' : 'idle'
    return { from: before, to: place.id, mark: cause === 'unverified' && place.kind === 'internet' ? 'unknown' : mark }
  })
  const outside = outsideOf(report)
  const [helper] = verdict === 'relayed' ? outside.filter(({ kind }) => kind === 'relay' || kind === 'forwarder') : []
  const ways: readonly Way[] = [
    ...between,
    ...outside.map(({ id, mark }): Way => ({ from: 'internet', to: id, mark })),
    ...(helper === undefined ? [] : [{ from: helper.id, to: 'machine', mark: 'ok' } as const])
  ]
  const where = at === undefined ? undefined : chain[at]
  const broken =
    where === undefined || cause === null
      ? null
      : { at: where.id, where: `Stops ${isWay ? 'before' : 'at'}: ${where.name}`, text: causeWords[cause] }
  const detour =
    helper === undefined ? null : `Connections come in through: ${helper.name} ${helper.details.join(', ')}`
  return { chain, outside, ways, broken, detour, summary: summaryOf(chain, outside, broken, detour) }
}

function placeOfSpot(spot: (typeof spots)[Cause], length: number, routers: number, beyond: number): number | undefined {
  if (spot === null) return undefined
  if (spot === 'machine') return 0
  if (spot === 'first' || spot === 'way-out') return 1
  if (spot === 'way-in') return length - 1
  // The last router, or what lies behind it.
  return spot === 'carrier' && beyond > 0 ? length - 2 : Math.max(1, routers)
}

function machineOf({ candidates, gateway }: Report): Place {
  const own = unique(candidates.flatMap(({ endpoint }) => (endpoint === null ? [] : [formatEndpoint(endpoint)])))
  const link = gateway === null ? [] : [gateway.interface]
  return { id: 'machine', kind: 'machine', name: 'This machine', details: limited([...own, ...link]), mark: 'ok' }
}

const formatEndpoint = ({ protocol, address, port }: NonNullable<CandidateReport['endpoint']>): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port} ${protocol}`

/** The default route, and the routers that stand behind one another. */
function routersOf({ gateway, strategies, candidates, cause }: Report): readonly Place[] {
  if (gateway === null) {
    const name = cause === 'no-route' ? 'No router' : 'Router not known'
    return [{ id: 'router-1', kind: 'router', name, details: [], mark: 'unknown' }]
  }
  const isPointToPoint = gateway.address === '0.0.0.0' || gateway.address === '::'
  const name = cause === 'vpn-default-route' ? 'VPN' : cause === 'container-bridge' ? 'Container bridge' : 'Router'
  const mapped = candidates.filter(({ type }) => type === 'mapped')
  // Of a mapping on a mapping, the first one is not of use by itself.
  const chained = mapped.find(({ through }) => through !== undefined)
  const outer = addressIn(chained?.through ?? mapped[0]?.address)
  const first: Place = {
    id: 'router-1',
    kind: 'router',
    name,
    details: limited([
      ...(isPointToPoint ? [gateway.interface] : [gateway.address]),
      ...(gateway.description === null ? [] : [gateway.description]),
      ...serviceOf(strategies, undefined),
      ...(outer === undefined ? [] : [`outside: ${outer}`])
    ]),
    mark: 'ok'
  }
  const further: Place[] = []
  let before = gateway.address
  for (const { gateway: address, through } of strategies) {
    if (address === undefined || through !== before) continue
    before = address
    const other = addressIn(chained?.address)
    further.push({
      id: `router-${further.length + 2}`,
      kind: 'router',
      name: 'Outer router',
      details: limited([
        address,
        ...serviceOf(strategies, address),
        ...(other === undefined ? [] : [`outside: ${other}`])
      ]),
      mark: 'ok'
    })
  }
  return [first, ...further]
}

/** Names the strategy that a router maps with. */
function serviceOf(strategies: Report['strategies'], router: string | undefined): readonly string[] {
  const [active] = strategies.filter(
    ({ kind, state, gateway }) => kind === 'mapper' && state === 'active' && gateway === router
  )
  return active === undefined ? [] : [`maps with ${active.name}`]
}

/** What stands between the routers of the house and the internet. */
function beyondOf({ cause }: Report, routers: number): readonly Place[] {
  const place = (name: string, details: readonly string[] = []): Place => ({
    id: 'carrier',
    kind: 'carrier',
    name,
    details,
    mark: 'ok'
  })
  if (cause === 'carrier-nat') return [place('Provider', ['shares one address'])]
  if (cause === 'double-nat' && routers < 2) return [place('Another router')]
  if (cause === 'reserved-external-address') return [place('Router or provider', ['not told which'])]
  return []
}

const internetOf = ({ externalAddresses, candidates }: Report): Place => {
  const relayed = new Set(candidates.flatMap(({ type, address }) => (type === 'relayed' ? [address] : [])))
  const direct = externalAddresses.filter((address) => !relayed.has(address))
  const own = direct.flatMap((address) => {
    const parsed = parseMultiaddr(address)
    return parsed === undefined
      ? []
      : [`${parsed.family === 6 ? `[${parsed.address}]` : parsed.address}:${parsed.port} ${parsed.protocol}`]
  })
  return { id: 'internet', kind: 'internet', name: 'Internet', details: limited(unique(own)), mark: 'ok' }
}

const addressIn = (multiaddr: string | undefined): string | undefined =>
  multiaddr === undefined ? undefined : parseMultiaddr(multiaddr)?.address

const outcomeMarks = { reachable: 'ok', unreachable: 'idle', inconclusive: 'unknown' } as const
const outcomeWords = {
  reachable: 'reached this machine',
  unreachable: 'could not reach it',
  inconclusive: 'could not tell'
} as const

/** The hosts on the internet that have to do with this machine. */
function outsideOf({ candidates, strategies, nat }: Report): readonly Place[] {
  const relays = new Map<string, Place>()
  const witnesses = new Map<string, Place>()
  for (const { relay, strategy, type, evidence } of candidates) {
    if (type === 'relayed' && relay !== undefined) {
      const kind = relay.tellsClients !== undefined || relay.isEncrypted !== undefined ? 'forwarder' : 'relay'
      const details = [shortParty(relay.party), ...(strategy === null ? [] : [strategy])]
      const name = kind === 'relay' ? 'Relay' : 'Forwarder'
      relays.set(relay.party, { id: `relay ${relay.party}`, kind, name, details, mark: 'ok' })
    }
    for (const { party, outcome } of evidence) {
      const mark = outcomeMarks[outcome]
      // One address that was reached counts for more than others that were not.
      if (witnesses.get(party)?.mark === 'ok') continue
      const details = [shortParty(party), outcomeWords[outcome]]
      witnesses.set(party, { id: `witness ${party}`, kind: 'witness', name: 'Witness', details, mark })
    }
  }
  const observers = strategies
    .filter(
      ({ kind, state }) => kind === 'observer' && (state === 'active' || state === 'failed' || state === 'unavailable')
    )
    .map(({ name, state, reason }): Place => {
      const details = [
        name,
        ...(state === 'active' ? (nat?.mapping == null ? [] : [nat.mapping]) : [reason?.code ?? state])
      ]
      return {
        id: `observer ${name}`,
        kind: 'observer',
        name: 'Observers',
        details,
        mark: state === 'active' ? 'ok' : 'idle'
      }
    })
  const all = [...relays.values(), ...witnesses.values(), ...observers]
  if (all.length <= maxOutside) return all
  const rest = all.length - maxOutside + 1
  const more: Place = { id: 'rest', kind: 'witness', name: `${rest} more`, details: [], mark: 'unknown', isRest: true }
  return [...all.slice(0, maxOutside - 1), more]
}

function summaryOf(
  chain: readonly Place[],
  outside: readonly Place[],
  broken: Picture['broken'],
  detour: string | null
): string {
  const named = ({ name, details }: Place): string => (details.length === 0 ? name : `${name} (${details.join(', ')})`)
  const parts = [`The way in, from the inside out: ${chain.map(named).join(', then ')}.`]
  if (broken !== null) parts.push(`${broken.where}. ${broken.text}`)
  if (outside.length > 0) parts.push(`On the internet: ${outside.map(named).join('; ')}.`)
  if (detour !== null) parts.push(`${detour}.`)
  return parts.join(' ')
}

const unique = (texts: readonly string[]): readonly string[] => [...new Set(texts)]
const limited = (texts: readonly string[]): readonly string[] =>
  texts.length <= maxDetails ? texts : [...texts.slice(0, maxDetails - 1), `and ${texts.length - maxDetails + 1} more`]
