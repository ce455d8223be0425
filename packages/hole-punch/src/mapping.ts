import type { Behaviour } from '@postern/interface'

/** What a NAT does with the source port of one socket: the same for all destinations, or another for each. */
export type Mapping = Extract<Behaviour, 'endpoint-independent' | 'address-and-port-dependent'>

/** The relay and the peer have distinct addresses: a mapping that depends on the address alone is as good as any other. */
export const mappingFrom = (behaviour: Behaviour): Mapping =>
  behaviour === 'endpoint-independent' ? 'endpoint-independent' : 'address-and-port-dependent'

/** Whether TCP sockets that dial each other pass by each other, whatever is tried: it takes two who know, and one NAT that
 * takes another port for each destination. */
export const passBy = (own: Mapping | undefined, theirs: Mapping | undefined): boolean =>
  own !== undefined && theirs !== undefined && [own, theirs].includes('address-and-port-dependent')
