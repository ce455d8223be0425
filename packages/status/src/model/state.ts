import type { Report } from '@postern/core'

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
export interface LoggedEvent {
  /** Counts from 1. A gap means that events were dropped. */
  readonly seq: number
  /** When it was heard, in ISO 8601. */
  readonly at: string
  /** The name of the event: `mapped`, `strategy` and so on. */
  readonly name: string
  /** The event's detail. */
  readonly detail: unknown
}
