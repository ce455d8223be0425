import type { Clock, NatError } from '@postern/interface'
import { backOffMs, type Policy } from '../model/policy.js'
import { awayCodes } from './demand.js'

/** How long each forwarder is not asked again. */
export interface ForwardBackoff {
  /** Returns for how long the party is not to be asked, in ms; 0 or less if it may be asked now. */
  leftMs(party: string): number
  /** The party refused, or could not be reached. */
  refused(party: string, failure: NatError): void
  /** The party lost a port that it had lent for this long, in ms. It is asked again at once, unless that happens again
   * and again. */
  lost(party: string, heldMs: number): void
}

/** The codes after which the same port is asked for again soon: the party is away, or a dead connection of this host
 * still holds the port there. */
const soonCodes: ReadonlySet<string> = new Set([...awayCodes, 'REFUSED', 'CONFLICT', 'MAPPING_LOST'])

/** A port that was taken this many times is most likely held by another program for good: some minutes of asking. */
const maxSoonConflicts = 60

/** The codes that do not change by asking again. Programs at the other host may lock out a host that keeps asking. */
const firmCodes: ReadonlySet<string> = new Set(['NOT_AUTHORIZED', 'UNTRUSTED_REPLY', 'UNSUPPORTED'])

export function createForwardBackoff({ relay, retry }: Policy, clock: Clock): ForwardBackoff {
  const backoff = new Map<string, { readonly count: number; readonly untilMs: number }>()
  const conflicts = new Map<string, number>()

  function rest(party: string, ms: (count: number) => number): void {
    const count = (backoff.get(party)?.count ?? 0) + 1
    backoff.set(party, { count, untilMs: clock.monotonicMs() + ms(count) })
  }

  return {
    leftMs: (party) => (backoff.get(party)?.untilMs ?? 0) - clock.monotonicMs(),
    refused(party, { code, retryAfterMs = 0 }) {
      const inARow = code === 'CONFLICT' ? (conflicts.get(party) ?? 0) + 1 : 0
      conflicts.set(party, inARow)
      const isSoon = soonCodes.has(code) && inARow <= maxSoonConflicts
      const backOff = isSoon ? relay.retake : firmCodes.has(code) ? relay.rest : retry
      rest(party, (count) => Math.max(backOffMs(backOff, count), retryAfterMs))
    },
    lost(party, heldMs) {
      conflicts.delete(party)
      if (heldMs > relay.retake.maxMs) backoff.delete(party)
      else rest(party, (count) => backOffMs(relay.retake, count))
    }
  }
}
