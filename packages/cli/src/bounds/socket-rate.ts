import type { Clock } from '@postern/interface'
import { createRate, type PlaceLimits, type PlaceRefusal, prefixesOf, type RemoteParty } from '@postern/net'

/** Limits the number of new sockets in a second. */
export interface SocketRate {
  /** Counts a socket, or returns the level at which it exceeds the limit. */
  take(party: RemoteParty): PlaceRefusal | undefined
}

/** How long a subnet counts as known after one of its sockets was accepted, in ms. */
const knownMs = 60_000
/** One in this many sockets is reserved for unknown subnets. */
const newcomersShare = 4

/**
 * Creates a socket rate that reserves a quarter for subnets without an accepted socket in the last minute. Otherwise
 * networks that connect every second could together use the whole rate, however low the limit of each one is.
 */
export function createSocketRate(limits: PlaceLimits, clock: Clock): SocketRate {
  const kept = Math.floor(limits.total / newcomersShare)
  const all = createRate({ ...limits, total: limits.total - kept }, 1000, clock)
  const newcomers = kept === 0 ? undefined : createRate({ total: kept, network: Math.ceil(kept / 2) }, 1000, clock)
  /** When each known subnet is forgotten, in this order. The rate bounds their number. */
  const known = new Map<string, number>()

  function forgetEnded(nowMs: number): void {
    for (const [subnet, endsMs] of known) {
      if (endsMs > nowMs) return
      known.delete(subnet)
    }
  }

  function remember(subnet: string, nowMs: number): void {
    known.delete(subnet)
    known.set(subnet, nowMs + knownMs)
  }

  return {
    take(party) {
      const nowMs = clock.monotonicMs()
      forgetEnded(nowMs)
      const subnet = prefixesOf(party.address)?.subnet
      if (subnet === undefined) return 'address'
      let refusal = all.take(party)
      if (refusal !== undefined && newcomers !== undefined && !known.has(subnet)) refusal = newcomers.take(party)
      if (refusal === undefined) remember(subnet, nowMs)
      return refusal
    }
  }
}
