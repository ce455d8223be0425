import type { Clock } from '@postern/interface'
import { createRate, type Party, type PlaceLimits, type PlaceRefusal, prefixesOf } from '@postern/net'

/** Bounds the sockets that come within a second. */
export interface SocketRate {
  /** Counts a socket, or returns why it is one too many. */
  take(party: Party): PlaceRefusal | undefined
}

/** How long a subnet counts as known after a socket of it was accepted. */
const knownMs = 60_000
/** One in so many sockets is for subnets that are not known. */
const newcomersShare = 4

/**
 * Keeps a quarter of the rate for subnets of which no socket was accepted in the last minute. Networks that come every second
 * could use up the whole rate together otherwise, however little each of them may have.
 */
export function createSocketRate(limits: PlaceLimits, clock: Clock): SocketRate {
  const kept = Math.floor(limits.total / newcomersShare)
  const all = createRate({ ...limits, total: limits.total - kept }, 1000, clock)
  const newcomers = kept === 0 ? undefined : createRate({ total: kept, network: Math.ceil(kept / 2) }, 1000, clock)
  /** When each subnet is forgotten, the first to go first: no more than the rate lets in within that time. */
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
