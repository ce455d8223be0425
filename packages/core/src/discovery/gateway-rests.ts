import type { Clock, Gateway, NatError } from '@postern/interface'
import { keepRecent } from '../async/keep-recent.js'
import { gatewayKey } from './discoveries.js'

/** How long gateways want to be left alone by each strategy, for all endpoints. */
export interface GatewayRests {
  /** Notes the retry-after of an error, if it has one. */
  honour(gateway: Gateway | null, strategy: string, error: NatError): void
  /** Returns until when a strategy must not ask a gateway for anything new (monotonic ms). */
  untilMs(gateway: Gateway | null, strategy: string): number
}

/** A longer error lifetime is cut to this, in ms (RFC 6887 §7.4). */
const maxRestMs = 24 * 60 * 60 * 1000

export function createGatewayRests(clock: Clock): GatewayRests {
  const rests = new Map<string, number>()
  const keyOf = (gateway: Gateway | null, strategy: string): string =>
    `${strategy} ${gateway === null ? '' : gatewayKey(gateway)}`
  return {
    honour(gateway, strategy, { retryAfterMs }) {
      if (retryAfterMs === undefined) return
      const untilMs = clock.monotonicMs() + Math.min(retryAfterMs, maxRestMs)
      keepRecent(rests, keyOf(gateway, strategy), untilMs, (each) => each > clock.monotonicMs())
    },
    untilMs: (gateway, strategy) => rests.get(keyOf(gateway, strategy)) ?? 0
  }
}
