import { type Clock, type NatError, parseMultiaddr } from '@postern/interface'
import { eventReason, type MappingEvent, type MappingEventName } from '../model/events.js'
import type { Candidate } from './candidates.js'

/** Returns the event of a candidate; undefined for an address that cannot be parsed. */
export function candidateEvent(
  event: MappingEventName,
  { address, endpoint, expiresAt, strategy, through, type }: Candidate,
  clock: Clock,
  reason?: NatError
): MappingEvent | undefined {
  const external = parseMultiaddr(address)
  if (external === undefined) return undefined
  const before = through === null ? undefined : parseMultiaddr(through)
  return {
    event,
    strategy,
    protocol: external.protocol,
    internal: { address: endpoint?.address ?? external.address, port: endpoint?.port ?? external.port },
    external: { address: external.address, port: external.port },
    lifetimeSeconds: expiresAt === null ? null : Math.max(0, (expiresAt - clock.wallMs()) / 1000),
    ...(before === undefined ? {} : { through: { address: before.address, port: before.port } }),
    ...(reason === undefined ? {} : { reasons: [eventReason(strategy ?? type, reason)] })
  }
}
