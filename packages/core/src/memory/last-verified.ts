import type { Clock } from '@postern/interface'
import type { MappingEvent } from '../model/events.js'
import type { MappingMemory } from './mapping-memory.js'

const dayMs = 24 * 60 * 60 * 1000

/** Records that an endpoint was verified now, in its memories of all gateways. */
export function noteVerified(memories: MappingMemory, clock: Clock, { protocol, internal }: MappingEvent): void {
  for (const each of memories.all()) {
    const { endpoint } = each
    if (endpoint.protocol === protocol && endpoint.address === internal.address && endpoint.port === internal.port)
      memories.note(each, { verifiedAt: clock.wallMs() })
  }
}

/** Whether this host was verified within the last 24 hours, in this run or an earlier one. Most likely it will be
 * again. */
export const wasVerified = (memories: MappingMemory, clock: Clock): boolean =>
  memories.all().some(({ verifiedAt }) => verifiedAt !== null && clock.wallMs() - verifiedAt < dayMs)
