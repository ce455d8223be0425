import {
  type Behaviour,
  type Endpoint,
  familyOf,
  type NatError,
  natError,
  type Observation,
  parseMultiaddr,
  type RemoteParty,
  type SharedUdpSocket
} from '@postern/interface'
import type { NatReport } from '../model/report.js'

/** What one observer saw of one socket. */
export interface NatObservation {
  readonly party: RemoteParty
  /** The strategy that found the observer. */
  readonly strategy: string
  /** The socket that was lent. */
  readonly endpoint: Endpoint
  readonly observation: Observation
}

/** What all observers together say of the NAT. */
export interface NatKnowledge {
  /** Null until an observer has answered. */
  readonly nat: NatReport | null
  /** Why less is concluded than the observers reported; undefined if they agree. */
  readonly dispute: NatError | undefined
}

const unknown: NatReport = { mapping: null, filtering: null, hairpin: 'unknown' }

/** From least to most restrictive. */
const strictness: readonly Behaviour[] = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent']

/**
 * Concludes from observations how the NAT behaves. Pure, and conservative: a server with one address shows only the
 * external address; nothing is concluded where servers contradict each other; and where their reports differ, the more
 * restrictive behaviour is assumed.
 */
export function natOf(natObservations: readonly NatObservation[]): NatKnowledge {
  if (natObservations.length === 0) return { nat: null, dispute: undefined }
  // Address translation concerns IPv4. Without observations over IPv4, those over IPv6 at least show a firewall.
  const four = natObservations.filter(({ endpoint }) => endpoint.family === 4)
  const judged = [...bySocket(four.length > 0 ? four : natObservations).values()].map(judge)
  const nats = judged.flatMap(({ nat }) => nat ?? [])
  return {
    nat: {
      mapping: worst(nats.map(({ mapping }) => mapping)),
      filtering: worst(nats.map(({ filtering }) => filtering)),
      hairpin: agreed(nats.map(({ hairpin }) => hairpin))
    },
    dispute: judged.find(({ dispute }) => dispute !== undefined)?.dispute
  }
}

function bySocket(natObservations: readonly NatObservation[]): ReadonlyMap<string, readonly NatObservation[]> {
  const sockets = new Map<string, NatObservation[]>()
  for (const each of natObservations) {
    const key = `${each.endpoint.address} ${each.endpoint.port}`
    sockets.set(key, [...(sockets.get(key) ?? []), each])
  }
  return sockets
}

/** Concludes from the observations of one socket. */
function judge(natObservations: readonly NatObservation[]): NatKnowledge {
  const address = majority(natObservations, ({ observation }) => parseMultiaddr(observation.address)?.address ?? '')
  if (address === undefined)
    return { nat: unknown, dispute: disagreement(natObservations, 'at different external addresses') }
  const heard = natObservations.filter(({ observation }) => parseMultiaddr(observation.address)?.address === address)
  // Ignore everything else that the minority servers report, and name them in the error.
  const dispute =
    heard.length < natObservations.length ? disagreement(natObservations, 'at different external addresses') : undefined
  const seen = heard.map(({ observation }) => observation)
  const mapping = mappingOf(heard)
  const rest = {
    filtering: worst(seen.map(({ filtering }) => filtering)),
    hairpin: agreed(seen.map(({ hairpin }) => hairpin))
  }
  if (mapping === 'disputed')
    return {
      nat: { mapping: null, ...rest },
      dispute: disagreement(natObservations, 'at ports that contradict each other')
    }
  return { nat: { mapping, ...rest }, dispute }
}

/** Returns what the external port depends on, as several servers see it, or one with two addresses. */
function mappingOf(natObservations: readonly NatObservation[]): Behaviour | 'disputed' | null {
  const ports = new Set(natObservations.map(({ observation }) => parseMultiaddr(observation.address)?.port))
  const told = natObservations.flatMap(({ observation }) => observation.mapping ?? [])
  if (ports.size > 1) {
    // One server saw the same port from both of its addresses, and another server saw another port: no NAT does that.
    if (told.includes('endpoint-independent')) return 'disputed'
    // Two addresses cannot show all that the port depends on. For a peer the two dependent behaviours are equally hard.
    return worst(told) ?? 'address-and-port-dependent'
  }
  return networksOf(natObservations).size > 1 ? 'endpoint-independent' : worst(told)
}

const networksOf = (natObservations: readonly NatObservation[]): ReadonlySet<string> =>
  new Set(natObservations.map(({ party }) => party.network))

/** Returns the value that most networks report; undefined if two values are reported by equally many. */
function majority(
  natObservations: readonly NatObservation[],
  of: (sighting: NatObservation) => string
): string | undefined {
  const values = [...new Set(natObservations.map(of))]
  const counted = values
    .map((value) => ({ value, count: networksOf(natObservations.filter((each) => of(each) === value)).size }))
    .toSorted((a, b) => b.count - a.count)
  const [first, second] = counted
  return first !== undefined && first.count > (second?.count ?? 0) ? first.value : undefined
}

function worst(behaviours: readonly (Behaviour | null | undefined)[]): Behaviour | null {
  return strictness.findLast((each) => behaviours.includes(each)) ?? null
}

/** Returns the common value of all that report one; otherwise `unknown`. */
function agreed(values: readonly (NatReport['hairpin'] | undefined)[]): NatReport['hairpin'] {
  const said = [...new Set(values.filter((each) => each !== undefined && each !== 'unknown'))]
  return (said.length === 1 ? said[0] : undefined) ?? 'unknown'
}

function disagreement(natObservations: readonly NatObservation[], how: string): NatError {
  const each = natObservations.map(({ party, observation }) => `${party.id} sees ${observation.address}`)
  return natError('OBSERVERS_DISAGREE', `STUN servers see this host ${how}: ${each.join(', ')}`)
}

/** Returns the observation. Throws a TypeError for an invalid one: a third-party strategy may break the types. */
export function checkObservation(observation: Observation, { endpoint }: SharedUdpSocket): Observation {
  const { address, mapping, filtering, hairpin } = observation
  const parsed = parseMultiaddr(address)
  const isBehaviour = (value: unknown): boolean => value === undefined || strictness.some((each) => each === value)
  const isRight =
    parsed !== undefined &&
    parsed.protocol === 'udp' &&
    parsed.rest === '' &&
    familyOf(parsed.address) === endpoint.family &&
    isBehaviour(mapping) &&
    isBehaviour(filtering) &&
    (hairpin === undefined || hairpin === 'works' || hairpin === 'fails')
  if (!isRight) throw new TypeError('the strategy returned an invalid observation')
  return observation
}
