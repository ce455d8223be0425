import {
  canonicalAddress,
  type Endpoint,
  type Family,
  formatMultiaddr,
  isWildcard,
  type MultiaddrText,
  type Network,
  natError,
  parseMultiaddr
} from '@postern/interface'
import { candidateEvent } from '../candidates/candidate-event.js'
import { type Candidate, isAddressUnknown, isSameEndpoint } from '../candidates/candidates.js'
import type { Context } from '../context.js'
import { isOurs, localAddress, type WantedEndpoint, withSuffix } from '../discovery/endpoints.js'
import type { WantedEndpoints } from '../discovery/wanted-endpoints.js'
import type { CandidateReport } from '../model/report.js'
import { createGuesses } from './guesses.js'
import { createObservations, type Sighting } from './observations.js'
import type { Observers } from './observe.js'

/**
 * External addresses that remote parties see, as candidates: with the port that this host listens on (a 1:1 NAT, a port
 * that was forwarded by hand), with the port of the very socket (a cone NAT), or with a port that a party has dialled.
 * They are claims: not announced and not counted before witnesses have reached them.
 */
export interface ObservedCandidates {
  /** Adds the candidates that follow from what parties say now, and withdraws the others. */
  review(): void
  /** Returns the addresses that observers saw and that are no candidates, for the report. */
  unconfirmed(): readonly CandidateReport[]
  /** Forgets what concerns these families after a change of the network, and tells which verified addresses are lost. */
  reset(families: readonly Family[]): void
  /** Forgets everything at the end of a run. */
  clear(): void
}

/** How many observed candidates there may be. One liar could otherwise have witnesses dial many addresses. */
const maxCandidates = 8
/** How many networks must see an address before witnesses are asked to dial it: one alone may name the address of a
 * third party. */
const minNetworks = 2

type Wanted = Pick<Candidate, 'address' | 'endpoint' | 'strategy' | 'expiresAt' | 'onlyNetworks' | 'exceptNetworks'>

/** @param observers - what they have seen of the lent sockets, and which of them were sent anything */
export function createObservedCandidates(
  context: Context,
  wanted: WantedEndpoints,
  observers: Pick<Observers, 'natObservations' | 'contactedNetworks'>
): ObservedCandidates {
  const { host, policy, bus, discoveries, candidates, network } = context
  const observations = createObservations(host.clock)
  /** The addresses that are candidates because of what parties say. */
  const own = new Set<MultiaddrText>()

  bus.on('observed', ({ strategy, notice }) => {
    observations.add(strategy, notice)
    bus.emit('reportChanged', undefined)
  })

  // A witness that tries at this moment must not wait for the next review.
  bus.on('contacted', () => {
    for (const [address, { exceptNetworks }] of find()) {
      const before = candidates.get(address)
      if (before?.type === 'observed') candidates.put({ ...before, exceptNetworks })
    }
  })

  function whyGone(address: MultiaddrText): string {
    const endpoint = candidates.get(address)?.endpoint ?? undefined
    if (endpoint !== undefined && !wanted.all().some((want) => isSocketOf(want, endpoint)))
      return 'the endpoint was removed'
    return 'remote parties do not see this host at the address any more'
  }

  function withdraw(address: MultiaddrText, why: string): void {
    own.delete(address)
    const candidate = candidates.get(address)
    if (candidate?.type !== 'observed') return
    candidates.withdraw(address)
    if (candidate.ruling !== 'verified') return
    const reason = natError('MAPPING_LOST', why)
    const lost = candidateEvent('lost', candidate, host.clock, reason)
    if (lost !== undefined) bus.emit('mapping', lost)
  }

  return {
    review() {
      const isAskable = discoveries.entries.some(({ kind }) => kind === 'witness')
      const next = isAskable ? find() : new Map<MultiaddrText, Wanted>()
      for (const address of own) if (!next.has(address)) withdraw(address, whyGone(address))
      for (const [address, candidate] of next) {
        const before = candidates.get(address)
        // Another strategy has mapped the address, or the user has named it.
        if (before !== undefined && before.type !== 'observed') own.delete(address)
        else if (before === undefined || !isSameGuess(before, candidate)) {
          candidates.put({ ...candidate, type: 'observed', mapper: null })
          own.add(address)
        }
      }
    },
    unconfirmed() {
      const found = new Map<MultiaddrText, CandidateReport>()
      for (const { endpoint, observation, strategy } of observers.natObservations()) {
        const want = wanted.all().find((each) => isSocketOf(each, endpoint))
        if (want === undefined) continue
        const { protocol, address, port } = endpoint
        const seen = withSuffix(observation.address, want)
        if (candidates.get(seen) !== undefined) continue
        found.set(seen, {
          address: seen,
          type: 'observed',
          strategy,
          endpoint: { protocol, address, port },
          state: 'claimed',
          expiresAt: null,
          evidence: []
        })
      }
      return [...found.values()]
    },
    reset(families) {
      observations.clear(families)
      for (const address of own) {
        const family = parseMultiaddr(address)?.family
        if (family !== undefined && families.includes(family)) withdraw(address, 'the network of this host has changed')
      }
    },
    clear() {
      observations.clear([4, 6])
      own.clear()
    }
  }

  /** Returns the candidates that follow from what parties say, the most promising first. */
  function find(): ReadonlyMap<MultiaddrText, Wanted> {
    const sightings = observations.all(observers.natObservations())
    if (sightings.length === 0) return new Map()
    const wants = inOrder(wanted.all())
    const unknown = candidates.all().filter(({ isGlobal, address }) => !isGlobal && isAddressUnknown(address))
    const guesses = createGuesses<Wanted>(maxCandidates)
    for (const [ip, { family, networks, strategy }] of confirmed(sightings)) {
      const add = (port: number, toldBy: string | undefined, of: Basis): void => {
        const { want, endpoint, strategy: by, expiresAt } = of
        const address: MultiaddrText = `/${formatMultiaddr(ip, endpoint.protocol, port).slice(1)}${want.suffix}`
        const known = candidates.get(address)
        if (known !== undefined && known.type !== 'observed') return
        const local = concrete(endpoint, network())
        const onlyNetworks = networks.size < minNetworks ? networks : undefined
        const isMine = (each: Endpoint): boolean => isSocketOf(want, each)
        const exceptNetworks = endpoint.protocol === 'udp' ? observers.contactedNetworks(isMine) : undefined
        const guess = { address, endpoint: local, strategy: by, expiresAt, onlyNetworks, exceptNetworks }
        guesses.add(ip, { isVerified: known?.ruling === 'verified', toldBy }, address, guess)
      }
      // The port was mapped or forwarded, and its external address is not known.
      for (const { address, endpoint, strategy: mappedBy, expiresAt } of unknown) {
        if (guesses.isFull(ip)) break
        if (endpoint === null || endpoint.family !== family) continue
        const want = wants.find((each) => isSocketOf(each, endpoint))
        const port = parseMultiaddr(address)?.port
        if (want !== undefined && port !== undefined)
          add(port, undefined, { want, endpoint, strategy: mappedBy, expiresAt })
      }
      for (const { ip: seenIp, port, network: by, strategy: seenBy } of sightings) {
        if (seenIp !== ip || port === undefined) continue
        if (guesses.isFull(ip)) break
        const want = wants.find((each) => each.endpoint.family === family && isPortOf(port, each))
        // One network may name any port of our own address: that costs one probe.
        const toldBy = port.socket === undefined ? `${by} ${port.protocol} ${port.suffix}` : undefined
        if (want !== undefined)
          add(port.external, toldBy, { want, endpoint: want.endpoint, strategy: seenBy, expiresAt: null })
      }
      for (const want of wants) {
        if (guesses.isFull(ip)) break
        const { endpoint } = want
        if (endpoint.family === family) add(endpoint.port, undefined, { want, endpoint, strategy, expiresAt: null })
      }
    }
    return guesses.chosen()
  }

  /** Returns the endpoints with verified candidates first, since the search ends when there are enough candidates. */
  function inOrder(wants: readonly WantedEndpoint[]): readonly WantedEndpoint[] {
    const verified = [...own].flatMap((address) => {
      const { ruling, endpoint } = candidates.get(address) ?? {}
      return ruling === 'verified' && endpoint !== null && endpoint !== undefined ? [endpoint] : []
    })
    if (verified.length === 0) return wants
    const first = wants.filter((want) => verified.some((endpoint) => isSocketOf(want, endpoint)))
    return [...new Set([...first, ...wants])]
  }

  /** Returns the addresses that parties on enough networks see this host at. */
  function confirmed(sightings: readonly Sighting[]): ReadonlyMap<string, SeenAddress> {
    const parties = new Set(partyAddresses())
    const seen = new Map<string, SeenAddress & { readonly networks: Set<string> }>()
    for (const { ip, family, network: by, strategy } of sightings) {
      if (parties.has(ip) || isOurs(ip, network())) continue
      const each = seen.get(ip) ?? { family, strategy, networks: new Set<string>() }
      seen.set(ip, each)
      each.networks.add(by)
    }
    const witnessNetworks = new Set(
      discoveries.entries.flatMap(({ abilities }) =>
        [...abilities.values()].flatMap((each) => (each.kind === 'witness' ? [each.party.network] : []))
      )
    )
    for (const [ip, { networks }] of seen) {
      // With a quorum of one, a witness may be asked about the address at which it sees this host itself.
      const isEnough =
        networks.size >= minNetworks ||
        (policy.quorum < minNetworks && [...networks].some((each) => witnessNetworks.has(each)))
      if (!isEnough) seen.delete(ip)
    }
    return seen
  }

  /** Returns the IP addresses in the ids of the parties: a dishonest party may name one of them as that of this host. */
  function partyAddresses(): readonly string[] {
    return discoveries.entries.flatMap(({ abilities }) =>
      [...abilities.values()].flatMap((each) => ('party' in each ? (each.party.id.match(ipText) ?? []) : []))
    )
  }
}

interface SeenAddress {
  readonly family: 4 | 6
  /** The strategy of the first party. */
  readonly strategy: string
  readonly networks: ReadonlySet<string>
}

/** What a candidate is made from. */
interface Basis {
  readonly want: WantedEndpoint
  readonly endpoint: Endpoint
  readonly strategy: string | null
  readonly expiresAt: number | null
}

const ipText = /\d{1,3}(?:\.\d{1,3}){3}|[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}/gi

const isSocketOf = ({ endpoint }: WantedEndpoint, { protocol, family, address, port }: Endpoint): boolean =>
  endpoint.protocol === protocol &&
  endpoint.family === family &&
  endpoint.port === port &&
  (isWildcard(endpoint.address) || canonicalAddress(endpoint.address) === canonicalAddress(address))

/** Whether a port that a party saw may be that of a wanted endpoint. */
function isPortOf({ protocol, socket, suffix }: NonNullable<Sighting['port']>, want: WantedEndpoint): boolean {
  const { endpoint } = want
  if (protocol !== endpoint.protocol) return false
  if (socket === undefined) return suffix === want.suffix
  return isSocketOf(want, { ...endpoint, ...socket })
}

const isSameSet = (one: ReadonlySet<string> | undefined, other: ReadonlySet<string> | undefined): boolean =>
  one?.size === other?.size && [...(one ?? [])].every((each) => other?.has(each) === true)

const isSameGuess = (one: Wanted, other: Wanted): boolean =>
  isSameEndpoint(one.endpoint, other.endpoint) &&
  one.expiresAt === other.expiresAt &&
  isSameSet(one.onlyNetworks, other.onlyNetworks) &&
  isSameSet(one.exceptNetworks, other.exceptNetworks)

/** Returns the endpoint with the local address on the default route in the place of a wildcard. */
const concrete = (endpoint: Endpoint, network: Network): Endpoint =>
  isWildcard(endpoint.address)
    ? { ...endpoint, address: localAddress(network, endpoint.family) ?? endpoint.address }
    : endpoint
