import type { Endpoint, ObservedNotice } from '@postern/interface'
import type { DiscoveryNotice, StrategyEntry } from './discovery/discoveries.js'
import type { MappingEvent } from './model/events.js'
import type { LeaseEvent } from './model/lease-event.js'
import type { PeerReport, Report, StrategyReport, Verdict } from './model/report.js'
import type { RequestEvent } from './model/request-event.js'

/** What the parts of a traversal tell each other. The files are relative to this one; a test compares them with the
 * calls of `emit` and `on`. */
export interface Signals {
  /** A strategy has found or lost something.
   *
   * Emitted by context.ts, for discovery/discoveries.ts.
   * Heard by traversal.ts, nat/observe.ts, verification/verifier.ts, relay/. */
  readonly strategyChanged: StrategyEntry
  /** A strategy has heard something of an ability that it found.
   *
   * Emitted by context.ts, for discovery/discoveries.ts.
   * Heard by traversal.ts, relay/reservations.ts, upgrade/upgrades.ts. */
  readonly noticed: { readonly entry: StrategyEntry; readonly notice: DiscoveryNotice }
  /** A remote party has told at which address it sees this host.
   *
   * Emitted by context.ts, for discovery/discoveries.ts.
   * Heard by nat/observed-candidates.ts. */
  readonly observed: { readonly strategy: string; readonly notice: ObservedNotice }
  /** Time of a search has passed at which other strategies or relays may be used.
   *
   * Emitted by run.ts, beyond/routers-beyond.ts.
   * Heard by traversal.ts, relay/. */
  readonly searchAdvanced: undefined
  /** Another program of this host has released its mapping of an endpoint.
   *
   * Emitted by context.ts, for owners/mapping-owners.ts.
   * Heard by traversal.ts. */
  readonly ownersChanged: Endpoint
  /** A gateway, by its key, grants something different from before.
   *
   * Emitted by mapping/.
   * Heard by mapping/. */
  readonly gatewayChanged: string
  /** A gateway, by its key, may have lost what it granted before `toldMs` (monotonic ms): it is known to have
   * (`restarted`), or there is a hint.
   *
   * Emitted by mapping/.
   * Heard by traversal.ts. */
  readonly gatewayDoubted: {
    readonly gateway: string
    readonly why: 'hint' | 'restarted'
    readonly toldMs: number
  }
  /** The external address of a mapping has been checked from this side of the router.
   *
   * Emitted by context.ts, for candidates/claim-checks.ts.
   * Heard by traversal.ts. */
  readonly claimChecked: undefined
  /** What was verified and observed may no longer hold.
   *
   * Emitted by run.ts, mapping/, nat/keep-alive.ts.
   * Heard by nat/observe.ts, verification/verifier.ts. */
  readonly doubted: undefined
  /** A lent socket is about to send something to a network for the first time.
   *
   * Emitted by nat/observe.ts.
   * Heard by nat/observed-candidates.ts. */
  readonly contacted: undefined
  /** Something that the report shows has changed.
   *
   * Emitted by traversal.ts, run.ts, context.ts, beyond/routers-beyond.ts, mapping/, nat/observe.ts,
   * nat/observed-candidates.ts, nat/observer-status.ts, relay/.
   * Heard by report/reviews.ts. */
  readonly reportChanged: undefined
  /** A review has ended with this verdict, which need not be new.
   *
   * Emitted by report/reviews.ts.
   * Heard by relay/. */
  readonly reviewed: Verdict
  /** For the listeners of the traversal: an event of an endpoint.
   *
   * Emitted by beyond/chained-mapping.ts, relay/, verification/verifier.ts, nat/observed-candidates.ts.
   * Heard by traversal.ts. */
  readonly mapping: MappingEvent
  /** For the listeners of the traversal: the line of a strategy has changed.
   *
   * Emitted by report/reviews.ts.
   * Heard by traversal.ts. */
  readonly strategy: StrategyReport
  /** For the listeners of the traversal: the verdict, the cause, the addresses or the NAT's behaviour have changed.
   *
   * Emitted by report/reviews.ts.
   * Heard by traversal.ts, relay/reservations.ts. */
  readonly verdict: Report
  /** For the listeners of the traversal: a relayed connection to a peer has come closer to a direct one.
   *
   * Emitted by upgrade/upgrades.ts.
   * Heard by traversal.ts. */
  readonly upgrade: PeerReport
  /** For the listeners of the traversal: a request to a strategy has ended.
   *
   * Emitted by context.ts, for async/requests.ts and discovery/discoveries.ts.
   * Heard by traversal.ts. */
  readonly request: RequestEvent
  /** For the listeners of the traversal: a lease was granted, was renewed or has ended.
   *
   * Emitted by mapping/, relay/.
   * Heard by traversal.ts. */
  readonly lease: LeaseEvent
}
