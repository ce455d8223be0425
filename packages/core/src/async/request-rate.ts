import type { CallOptions, Clock } from '@postern/interface'

/** Keeps the requests to each remote party below a number per minute. */
export interface RequestRate {
  /** Resolves when one more request may be sent to the party, and counts it. Rejects with the signal's reason. */
  take(partyId: string, call: CallOptions): Promise<void>
}

const minuteMs = 60_000

export function createRequestRate(clock: Clock, maxPerMinute: number): RequestRate {
  const sentMs = new Map<string, readonly number[]>()
  const isRecent = (at: number): boolean => at > clock.monotonicMs() - minuteMs
  return {
    async take(partyId, call) {
      for (const [id, times] of sentMs) if (!times.some(isRecent)) sentMs.delete(id)
      const recently = (sentMs.get(partyId) ?? []).filter(isRecent)
      const [oldest] = recently
      if (recently.length >= maxPerMinute && oldest !== undefined)
        await clock.sleep(oldest + minuteMs - clock.monotonicMs(), call)
      sentMs.set(partyId, [...(sentMs.get(partyId) ?? []).filter(isRecent), clock.monotonicMs()])
    }
  }
}
