import type { Clock } from '@postern/interface'
import { type Prefixes, prefixesOf } from './prefixes.js'

/** The level at which places are counted: all places, those of a network, of a subnet, of an IP address, or of a
 * peer. */
export type PlaceLevel = 'peer' | 'ip' | 'subnet' | 'network' | 'total'

/** The total number of places, and the maximum for each prefix and each peer. Absent: no separate limit. */
export interface PlaceLimits {
  /** All places. */
  readonly total: number
  /** For each /16 of IPv4, or /32 of IPv6. */
  readonly network?: number
  /** For each /24 of IPv4, or /48 of IPv6. */
  readonly subnet?: number
  /** For each IPv4 address, or /64 of IPv6. */
  readonly ip?: number
  /** For each peer id. */
  readonly peer?: number
}

/** The remote party that takes a place. */
export interface RemoteParty {
  /** Its IP address. */
  readonly address: string
  /** Its peer id, if it is a libp2p peer. */
  readonly peer?: string
}

/** The level that has no free place; `address` if the text is not an IP address. */
export type PlaceRefusal = PlaceLevel | 'address'

/**
 * A limited number of places, shared fairly between address prefixes.
 *
 * A prefix may hold at most its own limit, and at most as many places as are free in the enclosing prefix. So one IP
 * address never gets more than half of the places of its subnet, and two get at most a third each. A prefix that holds
 * no place always finds one while any is free. The limit of a peer id is independent of this, because peer ids cost
 * nothing.
 */
export interface Places<Member> {
  /** The number of places that are taken. */
  readonly used: number
  /** Returns the level at which there is no place for a party, or undefined if there is one. Does not take it. */
  findRefusal(party: RemoteParty): PlaceRefusal | undefined
  /** Takes a place, or returns the level at which there is none. A member that already has a place gives that one up if
   * it gets the new one. */
  take(member: Member, party: RemoteParty): PlaceRefusal | undefined
  /** Gives the place of a member back. Idempotent. */
  free(member: Member): void
  /** Returns whether a member has a place. */
  has(member: Member): boolean
  /**
   * Returns the member to remove so that a refused party gets a place: the oldest member for which `mayGo` returns
   * true, of the prefix that holds the most places. Returns undefined if no prefix holds more than the prefix of the
   * refused party.
   */
  findVictim(party: RemoteParty, refusal: PlaceRefusal, mayGo: (member: Member) => boolean): Member | undefined
}

interface Taken {
  readonly keys: Keys
}

type Keys = Readonly<Record<PlaceLevel, string>>

/** The prefix levels, narrowest first; each one contains the one before. */
const prefixLevels = ['ip', 'subnet', 'network', 'total'] as const

/** Creates {@link Places}. Throws a TypeError for a limit that is not a positive integer. */
export function createPlaces<Member>(limits: PlaceLimits): Places<Member> {
  for (const [level, limit] of Object.entries(limits)) {
    if (!Number.isInteger(limit) || limit < 1)
      throw new TypeError(`the bound of ${level} is not a whole number of 1 or more: ${limit}`)
  }
  const levels = prefixLevels.filter((level) => limits[level] !== undefined)
  /** The members, oldest first. */
  const members = new Map<Member, Taken>()
  /** The members of each key. Keys without members are removed, so that the limits also bound the index. */
  const index = new Map<string, Set<Member>>()
  const held = (keys: Keys, level: PlaceLevel): number => index.get(keys[level])?.size ?? 0

  function findRefusal(party: RemoteParty): PlaceRefusal | undefined {
    const keys = keysOf(party)
    return keys === undefined ? 'address' : refusalOf(keys, party.peer !== undefined)
  }

  function refusalOf(keys: Keys, hasPeer: boolean): PlaceLevel | undefined {
    if (hasPeer && held(keys, 'peer') >= (limits.peer ?? Number.POSITIVE_INFINITY)) return 'peer'
    const full = levels.find((level) => held(keys, level) >= (limits[level] ?? 0))
    if (full !== undefined) return full
    // A prefix may not hold more places than are free in the enclosing one.
    return levels.find((level, at) => {
      const inner = levels[at - 1]
      return inner !== undefined && held(keys, inner) >= (limits[level] ?? 0) - held(keys, level)
    })
  }

  function free(member: Member): void {
    const taken = members.get(member)
    if (taken === undefined) return
    members.delete(member)
    for (const key of Object.values(taken.keys)) {
      const same = index.get(key)
      same?.delete(member)
      if (same?.size === 0) index.delete(key)
    }
  }

  function add(member: Member, keys: Keys): void {
    members.set(member, { keys })
    for (const key of Object.values(keys)) {
      const same = index.get(key)
      if (same === undefined) index.set(key, new Set([member]))
      else same.add(member)
    }
  }

  return {
    get used() {
      return members.size
    },
    has: (member) => members.has(member),
    findRefusal,
    take(member, party) {
      const keys = keysOf(party)
      if (keys === undefined) return 'address'
      const before = members.get(member)
      free(member)
      const refusal = refusalOf(keys, party.peer !== undefined)
      if (refusal === undefined) add(member, keys)
      else if (before !== undefined) add(member, before.keys)
      return refusal
    },
    free,
    findVictim(party, refusal, mayGo) {
      const keys = keysOf(party)
      if (keys === undefined || refusal === 'address') return undefined
      const isPrefix = refusal !== 'peer'
      /** Widest first. Members of one IP address, or of one peer, differ only in age. */
      const compared = isPrefix ? prefixLevels.slice(0, prefixLevels.indexOf(refusal)).toReversed() : []
      const sizes = (of: Keys): readonly number[] => compared.map((level) => held(of, level))
      let best: { readonly member: Member; readonly sizes: readonly number[] } | undefined
      for (const member of index.get(keys[refusal]) ?? []) {
        const of = members.get(member)?.keys
        if (of === undefined) continue
        // The widest prefix in which the two differ decides. Members of the same IP address may replace each other.
        const apart = compared.find((level) => of[level] !== keys[level])
        if (apart !== undefined && held(of, apart) <= held(keys, apart)) continue
        const its = sizes(of)
        if (best !== undefined && compare(its, best.sizes) <= 0) continue
        if (mayGo(member)) best = { member, sizes: its }
      }
      return best?.member
    }
  }
}

function keysOf({ address, peer }: RemoteParty): Keys | undefined {
  const prefixes = prefixesOf(address)
  return prefixes && { ...keysOfPrefixes(prefixes), peer: `peer ${peer}`, total: 'total' }
}

const keysOfPrefixes = ({ ip, subnet, network }: Prefixes): Prefixes => ({
  ip: `ip ${ip}`,
  subnet: `subnet ${subnet}`,
  network: `network ${network}`
})

function compare(one: readonly number[], other: readonly number[]): number {
  for (const [at, size] of one.entries()) {
    const difference = size - (other[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** A limited number of events within a time window, shared between prefixes like {@link Places}. */
export interface Rate {
  /** Returns the level at which another event would exceed a limit, or undefined. Does not count an event. */
  findRefusal(party: RemoteParty): PlaceRefusal | undefined
  /** Counts an event, or returns the level at which it would exceed a limit. */
  take(party: RemoteParty): PlaceRefusal | undefined
}

/** Creates a {@link Rate} that counts the events of the last `windowMs`. Throws a TypeError for a limit that is not a
 * positive integer. */
export function createRate(limits: PlaceLimits, windowMs: number, clock: Clock): Rate {
  const places = createPlaces<object>(limits)
  /** The counted events, in the order in which they leave the window. Refused events are not stored. */
  const taken: { readonly event: object; readonly endsMs: number }[] = []

  function forgetEnded(nowMs: number): void {
    const live = taken.findIndex(({ endsMs }) => endsMs > nowMs)
    const ended = taken.splice(0, live === -1 ? taken.length : live)
    for (const { event } of ended) places.free(event)
  }

  return {
    findRefusal(party) {
      forgetEnded(clock.monotonicMs())
      return places.findRefusal(party)
    },
    take(party) {
      const nowMs = clock.monotonicMs()
      forgetEnded(nowMs)
      const event = {}
      const refusal = places.take(event, party)
      if (refusal === undefined) taken.push({ event, endsMs: nowMs + windowMs })
      return refusal
    }
  }
}
