import type { RelayLimits } from '@postern/interface'
import type { ReserveReply } from './codec.js'

/** Nobody lets a relayed connection live for longer than a day and says so: it is milliseconds then. */
const daySeconds = 86_400

/**
 * The limits of one relayed connection, from what a relay wrote; undefined where there are none.
 *
 * The duration is in seconds (circuit relay v2, "Reservation"), but relays in JavaScript write milliseconds.
 *
 * @param agent - the relay's agent version, as identify tells it
 */
export function limitsOf(limit: ReserveReply['limit'], agent: string | undefined): RelayLimits | undefined {
  const duration = limit?.duration ?? 0
  const bytes = limit?.data ?? 0
  if (duration === 0 && bytes === 0) return undefined
  const isMilliseconds = (agent?.includes('js-libp2p') === true && duration >= 1000) || duration > daySeconds
  return {
    ...(duration === 0 ? {} : { durationMs: isMilliseconds ? duration : duration * 1000 }),
    ...(bytes === 0 ? {} : { bytes })
  }
}
