import type { Behaviour } from '@postern/interface'

/** How a NAT maps the source port of one socket: to one port for all destinations, or to a different one for each. */
export type Mapping = Extract<Behaviour, 'endpoint-independent' | 'address-and-port-dependent'>

/**
 * Returns the mapping for a behaviour. The relay and the peer have distinct addresses, so an address-dependent mapping
 * counts as symmetric.
 */
export const mappingFrom = (behaviour: Behaviour): Mapping =>
  behaviour === 'endpoint-independent' ? 'endpoint-independent' : 'address-and-port-dependent'

/** Returns whether a TCP simultaneous open cannot succeed: both mappings are known, and at least one NAT uses a
 * different port for each destination. */
export const cannotMeetOverTcp = (own: Mapping | undefined, theirs: Mapping | undefined): boolean =>
  own !== undefined && theirs !== undefined && [own, theirs].includes('address-and-port-dependent')
