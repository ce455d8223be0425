import type { Cause, Report } from '@postern/core'
import { beyondOf, internetOf, type Mark, machineOf, outsideOf, type Place, routersOf } from './places.js'
import { causeWords } from './words.js'

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
  const isOwnFirewall = cause === 'blocked' && report.neighbourhood?.hostFirewall?.state === 'blocks'
  const spot = cause === null || verdict === 'public' ? null : isOwnFirewall ? 'machine' : spots[cause]
  const routers = routersOf(report)
  const beyond = beyondOf(report, routers.length)
  const plain: readonly Place[] = [machineOf(report), ...routers, ...beyond, internetOf(report)]
  const at = placeOfSpot(spot, plain.length, routers.length, beyond.length)
  const isWay = spot === 'way-out' || spot === 'way-in'
  const good: Mark = verdict === 'unknown' ? 'unknown' : 'ok'
  const chain = plain.map((place, index): Place => {
    if (at === undefined) return { ...place, mark: good }
    if (index === at && !isWay) return { ...place, mark: 'broken' }
    return { ...place, mark: index < at || isOwnFirewall || place.kind === 'internet' ? 'ok' : 'idle' }
  })
  const between = chain.slice(1).map((place, index): Way => {
    const before = chain[index]?.id ?? ''
    const mark =
      at === undefined ? good : isWay && index + 1 === at ? 'broken' : index + 1 <= at || isOwnFirewall ? 'ok' : 'idle'
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
      : {
          at: where.id,
          where: `Stops ${isWay ? 'before' : 'at'}: ${where.name}`,
          text: isOwnFirewall ? 'The firewall of this machine drops connections from outside.' : causeWords[cause]
        }
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
