/** What can happen to a lease. `lapsed`: it ended before it was released, because it expired, the router or relay has lost
 * it, or it is of no use on the present network. `released`: it is not needed any more, and is given back; it may have to
 * expire. */
export const leaseChanges = ['granted', 'renewed', 'lapsed', 'released'] as const

/** A change of one lease: a mapping, a reservation at a relay, or a port of another host. */
export interface LeaseEvent {
  /** The name of the strategy that granted it. */
  readonly strategy: string
  /** What happened to it. */
  readonly change: (typeof leaseChanges)[number]
  /** Why it lapsed: a code of the `NatError` registry. Null unless it has lapsed. */
  readonly code: string | null
}
