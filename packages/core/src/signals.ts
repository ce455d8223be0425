import type { Endpoint, ObservedNotice } from '@postern/interface'
import type { DiscoveryNotice, StrategyEntry } from './discovery/discoveries.js'
import type { MappingEvent } from './model/events.js'
import type { PeerReport, Report, StrategyReport, Verdict } from './model/report.js'

/** What the parts of a traversal tell each other. */
export interface Signals {
  /** A strategy has found or lost something. */
  readonly strategyChanged: StrategyEntry
  /** A strategy has heard something of an ability that it found. */
  readonly noticed: { readonly entry: StrategyEntry; readonly notice: DiscoveryNotice }
  /** A remote party has told at which address it sees this host. */
  readonly observed: { readonly strategy: string; readonly notice: ObservedNotice }
  /** Time of the search has passed at which other strategies or relays may be used. */
  readonly searchAdvanced: undefined
  /** Another program of this host has released its mapping of an endpoint. */
  readonly ownersChanged: Endpoint
  /** A gateway, by its key, grants something different from before. */
  readonly gatewayChanged: string
  /** A gateway, by its key, may have lost what it granted before `toldMs` (monotonic ms): it is known to have
   * (`restarted`), or there is a hint. */
  readonly gatewayDoubted: {
    readonly gateway: string
    readonly why: 'hint' | 'restarted'
    readonly toldMs: number
  }
  /** What was verified and observed may no longer hold. */
  readonly doubted: undefined
  /** Something that the report shows has changed. */
  readonly reportChanged: undefined
  /** A review has ended with this verdict, which need not be new. */
  readonly reviewed: Verdict
  /** For the listeners of the traversal: an event of an endpoint. */
  readonly mapping: MappingEvent
  /** For the listeners of the traversal: the line of a strategy has changed. */
  readonly strategy: StrategyReport
  /** For the listeners of the traversal: the verdict, the cause, the addresses or the NAT's behaviour have changed. */
  readonly verdict: Report
  /** For the listeners of the traversal: a relayed connection to a peer has come closer to a direct one. */
  readonly upgrade: PeerReport
}
