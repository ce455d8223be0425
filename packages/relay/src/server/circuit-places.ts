import type { Clock } from '@postern/interface'
import {
  createPlaces,
  type PlaceLimits,
  type PlaceRefusal,
  type Places,
  prefixesOf,
  type RemoteParty
} from '@postern/net'

/** How long a circuit must be idle before it may be closed for another one, in ms. */
const idleMs = 5000

/** One end of a relayed connection. */
export interface CircuitEnd extends RemoteParty {
  readonly peer: string
}

/** The ends of a circuit: the peer that requested it, and the peer that it leads to. */
export interface CircuitRoute {
  readonly from: CircuitEnd
  readonly to: CircuitEnd
}

/** The places of relayed connections. */
export interface CircuitPlaces<Member> {
  /** The number of circuits with a place. */
  readonly used: number
  /** Takes a place for a circuit, or returns the level at which there is none. May close idle circuits. */
  take(member: Member, route: CircuitRoute): PlaceRefusal | undefined
  /** Sets the function that closes a circuit. A circuit without one keeps its place until it is freed. */
  carries(member: Member, cut: () => void): void
  /** Records that bytes have passed through the circuit. */
  moved(member: Member): void
  /** Gives the place back. Idempotent. */
  free(member: Member): void
}

/** The maximum number of circuits in total, from each peer, IP address, subnet and network, and to each of these. */
export interface CircuitLimits extends PlaceLimits {
  readonly peer: number
}

interface Circuit {
  /** The keys of the destination tables in which the circuit has a place. */
  readonly arrivals: readonly string[]
  readonly fromIp: string | undefined
  cut?: () => void
  movedMs: number
}

/**
 * Creates the places of circuits. Counts the circuits from each peer and its prefixes, and separately those to each
 * peer and its prefixes.
 *
 * A peer cannot choose which others connect to it. So the places at one destination are shared between the prefixes of
 * the sources: one address or subnet gets at most half of them, two get at most a third each. If there is none left,
 * the oldest idle circuit of the prefix that holds the most is closed for a source at another address with a prefix
 * that holds less.
 */
export function createCircuitPlaces<Member>(limits: CircuitLimits, clock: Clock): CircuitPlaces<Member> {
  const departures = createPlaces<Member>(limits)
  /** The places at each destination. Destinations without circuits are removed, so the circuits bound their number. */
  const arrivals = new Map<string, Places<Member>>()
  const circuits = new Map<Member, Circuit>()

  function free(member: Member): void {
    const circuit = circuits.get(member)
    if (circuit === undefined) return
    circuits.delete(member)
    departures.free(member)
    for (const key of circuit.arrivals) {
      const places = arrivals.get(key)
      places?.free(member)
      if (places?.used === 0) arrivals.delete(key)
    }
  }

  /** Takes a place in one table, also that of an idle circuit. */
  function takeIn(places: Places<Member>, member: Member, from: CircuitEnd): PlaceRefusal | undefined {
    const fromIp = prefixesOf(from.address)?.ip
    const mayGo = (each: Member): boolean => {
      const circuit = circuits.get(each)
      if (circuit?.cut === undefined || circuit.fromIp === fromIp) return false
      return clock.monotonicMs() - circuit.movedMs >= idleMs
    }
    for (;;) {
      const refusal = places.take(member, from)
      if (refusal === undefined) return undefined
      const victim = refusal === 'peer' ? undefined : places.findVictim(from, refusal, mayGo)
      if (victim === undefined) return refusal
      const cut = circuits.get(victim)?.cut
      free(victim)
      cut?.()
    }
  }

  function arrivalsAt(key: string, total: number): Places<Member> {
    const places = arrivals.get(key) ?? createPlaces({ total, network: total, subnet: total, ip: total })
    arrivals.set(key, places)
    return places
  }

  return {
    get used() {
      return departures.used
    },
    take(member, { from, to }) {
      const prefixes = prefixesOf(to.address)
      if (prefixes === undefined) return 'address'
      const at = { peer: to.peer, ip: prefixes.ip, subnet: prefixes.subnet, network: prefixes.network }
      const bounded = (['peer', 'ip', 'subnet', 'network'] as const).flatMap((level) => {
        const total = limits[level]
        return total === undefined ? [] : [{ level, total, key: `${level} ${at[level]}` }]
      })
      circuits.set(member, {
        arrivals: bounded.map(({ key }) => key),
        fromIp: prefixesOf(from.address)?.ip,
        movedMs: clock.monotonicMs()
      })
      let refusal = takeIn(departures, member, from)
      for (const { level, total, key } of bounded) {
        if (refusal !== undefined) break
        // Report the level of the destination, which is full for the prefix of the source.
        const full = takeIn(arrivalsAt(key, total), member, { address: from.address, peer: from.peer })
        if (full !== undefined) refusal = full === 'address' ? full : level
      }
      if (refusal !== undefined) free(member)
      return refusal
    },
    carries(member, cut) {
      const circuit = circuits.get(member)
      if (circuit !== undefined) circuit.cut = cut
    },
    moved(member) {
      const circuit = circuits.get(member)
      if (circuit !== undefined) circuit.movedMs = clock.monotonicMs()
    },
    free
  }
}
