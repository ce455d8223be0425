import type { RelayLimits } from '@postern/interface'
import type { ReserveReply } from '../wire/hop.js'

/** No relay announces a limit of more than a day in seconds, so a larger number is in milliseconds. */
const daySeconds = 86_400

/**
 * Returns the limits of one relayed connection from the relay's answer; undefined if there are none.
 *
 * The specification has the duration in seconds (circuit relay v2, "Reservation"), but js-libp2p relays write
 * milliseconds.
 *
 * @param agent - the relay's agent version, from identify
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
