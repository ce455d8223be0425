import type { MappingEvent, MappingEventName, PeerReport, Report, StrategyReport } from '@postern/core'

/** What the server sends to the page, and what a saved page contains. */
export interface Snapshot {
  /** When it was made, in ISO 8601. */
  readonly at: string
  /** What the page is about, for its heading. */
  readonly title: string
  readonly report: Report
  /** The events since the last snapshot, the oldest first. */
  readonly events: readonly LoggedEvent[]
}

/** An event of a traversal, with its number and its time. */
export type LoggedEvent = {
  /** Counts from 1. A gap means that events were dropped. */
  readonly seq: number
  /** When it was heard, in ISO 8601. */
  readonly at: string
} & EventContent

/** The name of an event, and its detail. Of a verdict only the verdict and the cause are kept. */
export type EventContent =
  | { readonly name: MappingEventName; readonly detail: MappingEvent }
  | { readonly name: 'strategy'; readonly detail: StrategyReport }
  | { readonly name: 'verdict'; readonly detail: Pick<Report, 'verdict' | 'cause'> }
  | { readonly name: 'upgrade'; readonly detail: PeerReport }
