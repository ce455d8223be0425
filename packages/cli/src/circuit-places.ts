import type { Clock } from '@postern/interface'
import { createPlaces, type Party, type PlaceLimits, type PlaceRefusal, type Places, prefixesOf } from '@postern/net'

/** How long nothing has passed through a circuit that may be cut for another one, in ms. */
const idleMs = 5000

export interface CircuitEnd extends Party {
  readonly peer: string
}

/** From the peer that asks for a circuit to the one that is reached through it. */
export interface CircuitRoute {
  readonly from: CircuitEnd
  readonly to: CircuitEnd
}

/** The places of relayed connections, by what asked for each. */
export interface CircuitPlaces<Member> {
  /** Circuits that have a place. */
  readonly used: number
  /** Takes a place for a circuit, or returns why there is none. May cut idle circuits. */
  take(member: Member, route: CircuitRoute): PlaceRefusal | undefined
  /** Tells how to cut a circuit. One that cannot be cut keeps its place until it is freed. */
  carries(member: Member, cut: () => void): void
  /** Bytes have passed through the circuit. */
  moved(member: Member): void
  /** Gives the place back. Idempotent. */
  free(member: Member): void
}

/** How many circuits there are in all, from one peer, one IP address and one subnet, and to one of each. */
export interface CircuitLimits extends PlaceLimits {
  readonly peer: number
}

interface Circuit {
  /** In each table where the circuit has a place. */
  readonly arrivals: readonly string[]
  readonly fromIp: string | undefined
  cut?: () => void
  movedMs: number
}

/**
 * Counts the circuits from a peer and its prefixes, and by themselves those to a peer and its prefixes.
 *
 * A peer does not choose which others ask for it. So the places at one destination are shared between the prefixes of
 * the sources: one address or subnet gets half of them at most, two a third each. Where none is left, the oldest idle
 * circuit of the prefix that holds most is cut for a source at another address whose prefix holds less.
 */
export function createCircuitPlaces<Member>(limits: CircuitLimits, clock: Clock): CircuitPlaces<Member> {
  const departures = createPlaces<Member>(limits)
  /** By destination. Those of no circuit are removed, so that there are never more than circuits. */
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

  /** Takes a place in one table, also that of idle circuits. */
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
        // What is full is the destination, whichever prefix of the source has no share left of it.
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
