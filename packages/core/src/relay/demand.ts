import { printable, type RelayLimits, type RemoteParty } from '@postern/interface'
import type { RelayPolicy } from '../model/policy.js'
import type { CandidateReport } from '../model/report.js'

/** The codes of a relay or forwarder that cannot be reached now. All others are refusals. */
export const awayCodes: ReadonlySet<string> = new Set(['NO_REPLY', 'UNREACHABLE', 'ATTEMPT_TIMEOUT'])

/** Describes the party that a relayed address leads through. */
export const relayReport = (
  { id, network }: RemoteParty,
  limits: RelayLimits | undefined
): NonNullable<CandidateReport['relay']> => ({
  party: printable(id),
  network: printable(network),
  ...(limits?.durationMs === undefined ? {} : { maxSeconds: limits.durationMs / 1000 }),
  ...(limits?.bytes === undefined ? {} : { maxBytes: limits.bytes })
})

/** When relays or forwarders are needed (monotonic ms). */
export interface DemandTimes {
  readonly nowMs: number
  /** When the search for another way in has started. */
  readonly startedMs: number
  /** Since when a direct address serves; undefined while none does. */
  readonly servedSinceMs: number | undefined
  /** Whether a direct address was verified within the last day: it most likely will be again. */
  readonly wasVerified: boolean
}

/** Returns how many leases of relays or forwarders there should be now, and when that may change. The first is asked for
 * in parallel to the mappers, as a safety net. What is held stays until a direct address has served for a while. */
export function demandNow(
  { nowMs, startedMs, servedSinceMs, wasVerified }: DemandTimes,
  policy: RelayPolicy,
  held: number,
  max: number
): { readonly count: number; readonly waitMs: number } {
  if (servedSinceMs !== undefined) {
    const leftMs = servedSinceMs + policy.releaseAfterPublicMs - nowMs
    if (leftMs > 0) return { count: held, waitMs: leftMs }
    return policy.isInUse()
      ? { count: held, waitMs: policy.releaseAfterPublicMs }
      : { count: 0, waitMs: Number.POSITIVE_INFINITY }
  }
  const initialWaitMs = startedMs + (wasVerified ? policy.initialDelayMs : 0) - nowMs
  if (initialWaitMs > 0) return { count: held, waitMs: initialWaitMs }
  const second = startedMs + policy.secondReservationAfterMs - nowMs
  // Keep what is held: it may be the only way in now.
  if (second > 0) return { count: Math.max(held, Math.min(1, max)), waitMs: second }
  return { count: max, waitMs: Number.POSITIVE_INFINITY }
}
