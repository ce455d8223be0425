import type { CandidateReport, Report } from '@postern/core'
import { formatDevice, isGlobal, parseMultiaddr } from '@postern/interface'
import { isDoubted, shortParty } from './words.js'

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

const maxDetails = 4
const maxOutside = 6

/** This machine, with its sockets. */
export function machineOf({ candidates, gateway }: Report): Place {
  const own = unique(candidates.flatMap(({ endpoint }) => (endpoint === null ? [] : [formatEndpoint(endpoint)])))
  const link = gateway === null ? [] : [gateway.interface]
  return { id: 'machine', kind: 'machine', name: 'This machine', details: limited([...own, ...link]), mark: 'ok' }
}

const formatEndpoint = ({ protocol, address, port }: NonNullable<CandidateReport['endpoint']>): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port} ${protocol}`

/** The default route, and the routers that stand behind one another. */
export function routersOf({ gateway, strategies, candidates, cause }: Report): readonly Place[] {
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
      ...(gateway.device === undefined ? [] : [formatDevice(gateway.device)]),
      ...(isPointToPoint ? [gateway.interface] : [gateway.address]),
      ...(gateway.description === null ? [] : [gateway.description]),
      ...serviceOf(strategies, undefined),
      ...(outer === undefined ? [] : [`outside: ${outer}`])
    ]),
    mark: 'ok'
  }
  const further: string[] = []
  let before = gateway.address
  for (const { gateway: address, through } of strategies) {
    if (address === undefined || through !== before) continue
    before = address
    further.push(address)
  }
  // The address of a mapping on a mapping is that of the last router.
  const last = addressIn(chained?.address)
  const others = further.map(
    (address, index): Place => ({
      id: `router-${index + 2}`,
      kind: 'router',
      name: 'Outer router',
      details: limited([
        address,
        ...serviceOf(strategies, address),
        ...(last === undefined || index + 1 < further.length ? [] : [`outside: ${last}`])
      ]),
      mark: 'ok'
    })
  )
  return [first, ...others]
}

/** Names the strategy that a router maps with. */
function serviceOf(strategies: Report['strategies'], router: string | undefined): readonly string[] {
  const [active] = strategies.filter(
    ({ kind, state, gateway }) => kind === 'mapper' && state === 'active' && gateway === router
  )
  if (active === undefined) return []
  return [isDoubted(active) ? `mapped with ${active.name}, no answer now` : `maps with ${active.name}`]
}

/** What stands between the routers of the house and the internet. */
export function beyondOf({ cause, candidates }: Report, routers: number): readonly Place[] {
  const place = (name: string, details: readonly string[] = []): Place => ({
    id: 'carrier',
    kind: 'carrier',
    name,
    details,
    mark: 'ok'
  })
  if (cause === 'carrier-nat') return [place('Provider', ['shares one address'])]
  // The last router that maps may itself have an address of a private network.
  const last = addressIn(candidates.find(({ type, through }) => type === 'mapped' && through !== undefined)?.address)
  if (cause === 'double-nat' && (routers < 2 || (last !== undefined && !isGlobal(last))))
    return [place('Another router')]
  if (cause === 'reserved-external-address') return [place('Router or provider', ['not told which'])]
  return []
}

/** The internet, with the addresses of this machine there. An address of a private network is not one of them. */
export const internetOf = ({ externalAddresses, candidates }: Report): Place => {
  const relayed = new Set(candidates.flatMap(({ type, address }) => (type === 'relayed' ? [address] : [])))
  const direct = externalAddresses.filter((address) => !relayed.has(address))
  const own = direct.flatMap((address) => {
    const parsed = parseMultiaddr(address)
    return parsed === undefined || !isGlobal(parsed.address)
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
export function outsideOf({ candidates, strategies, nat }: Report): readonly Place[] {
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
        ...(state === 'active'
          ? nat?.mapping == null
            ? []
            : [nat.mapping]
          : [reason === null ? state : reason.code === 'NO_REPLY' ? 'no answer' : reason.code])
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

const unique = (texts: readonly string[]): readonly string[] => [...new Set(texts)]
const limited = (texts: readonly string[]): readonly string[] =>
  texts.length <= maxDetails ? texts : [...texts.slice(0, maxDetails - 1), `and ${texts.length - maxDetails + 1} more`]
