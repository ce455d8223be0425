import type { Clock } from '@postern/interface'
import { type Prefixes, prefixesOf } from './prefixes.js'

/** What is counted together: all of one kind, those of a network, a subnet, an IP address, or of one peer. */
export type PlaceLevel = 'peer' | 'ip' | 'subnet' | 'network' | 'total'

/** How many places there are in all, and how many of them each prefix and each peer may hold. Absent: no bound of its own. */
export interface PlaceLimits {
  readonly total: number
  /** Of a /16 of IPv4, or a /32 of IPv6. */
  readonly network?: number
  /** Of a /24 of IPv4, or a /48 of IPv6. */
  readonly subnet?: number
  /** Of an IPv4 address, or a /64 of IPv6. */
  readonly ip?: number
  /** Of a peer id. */
  readonly peer?: number
}

/** What takes a place. */
export interface Party {
  /** IP address. */
  readonly address: string
  readonly peer?: string
}

/** The level that has no place left; `address` for text that is no IP address. */
export type PlaceRefusal = PlaceLevel | 'address'

/**
 * A bounded number of places, shared between prefixes.
 *
 * A prefix may hold as many places as its own bound, and no more than are free in the prefix around it. So one IP
 * address never gets more than half of the places of its subnet, two get a third each, and a prefix that holds nothing
 * finds a place as long as there is one. The bound of a peer id stands alone, since peer ids cost nothing.
 */
export interface Places<Member> {
  /** Places that are taken. */
  readonly used: number
  /** Returns why there is no place for a party, or undefined where there is one. Takes nothing. */
  findRefusal(party: Party): PlaceRefusal | undefined
  /** Takes a place, or returns why there is none. A member that has a place already gives that one up if it gets one. */
  take(member: Member, party: Party): PlaceRefusal | undefined
  /** Gives a place back. Idempotent. */
  free(member: Member): void
  has(member: Member): boolean
  /**
   * Returns the member to remove so that a refused party gets a place: of those that `mayGo`, the oldest of the prefix
   * that holds most. Returns undefined if no prefix holds more than the one of the refused party does.
   */
  findVictim(party: Party, refusal: PlaceRefusal, mayGo: (member: Member) => boolean): Member | undefined
}

interface Taken {
  readonly keys: Keys
}

type Keys = Readonly<Record<PlaceLevel, string>>

/** Narrowest first: the order in which the prefixes lie in each other. */
const prefixLevels = ['ip', 'subnet', 'network', 'total'] as const

/** Throws a TypeError for a bound that is not a whole number of 1 or more. */
export function createPlaces<Member>(limits: PlaceLimits): Places<Member> {
  for (const [level, limit] of Object.entries(limits)) {
    if (!Number.isInteger(limit) || limit < 1)
      throw new TypeError(`the bound of ${level} is not a whole number of 1 or more: ${limit}`)
  }
  const levels = prefixLevels.filter((level) => limits[level] !== undefined)
  /** In the order in which they came. */
  const members = new Map<Member, Taken>()
  /** The members by each key. Keys of no member are removed, so that the index is never larger than the limits. */
  const index = new Map<string, Set<Member>>()
  const held = (keys: Keys, level: PlaceLevel): number => index.get(keys[level])?.size ?? 0

  function findRefusal(party: Party): PlaceRefusal | undefined {
    const keys = keysOf(party)
    return keys === undefined ? 'address' : refusalOf(keys, party.peer !== undefined)
  }

  function refusalOf(keys: Keys, hasPeer: boolean): PlaceLevel | undefined {
    if (hasPeer && held(keys, 'peer') >= (limits.peer ?? Number.POSITIVE_INFINITY)) return 'peer'
    const full = levels.find((level) => held(keys, level) >= (limits[level] ?? 0))
    if (full !== undefined) return full
    // No more than what is free around it.
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
      /** Widest first. Those of one IP address, or one peer, are alike but for their age. */
      const compared = isPrefix ? prefixLevels.slice(0, prefixLevels.indexOf(refusal)).toReversed() : []
      const sizes = (of: Keys): readonly number[] => compared.map((level) => held(of, level))
      let best: { readonly member: Member; readonly sizes: readonly number[] } | undefined
      for (const member of index.get(keys[refusal]) ?? []) {
        const of = members.get(member)?.keys
        if (of === undefined) continue
        // The first prefix in which they differ decides. Those of one IP address replace each other.
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

function keysOf({ address, peer }: Party): Keys | undefined {
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

/** A bounded number of events in a time, shared between prefixes as {@link Places} are. */
export interface Rate {
  /** Returns why an event would be one too many, or undefined. Counts nothing. */
  findRefusal(party: Party): PlaceRefusal | undefined
  /** Counts an event, or returns why it is one too many. */
  take(party: Party): PlaceRefusal | undefined
}

/** Throws a TypeError for a bound that is not a whole number of 1 or more. */
export function createRate(limits: PlaceLimits, windowMs: number, clock: Clock): Rate {
  const places = createPlaces<object>(limits)
  /** In the order in which they end. What is refused is not remembered. */
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
