import type { EventContent, LoggedEvent } from '../model/state.js'

/** The events that are kept for a browser that opens the page later. */
const maxEvents = 500

/** The latest events, numbered. */
export interface EventLog {
  /** Adds an event. Drops the oldest one if the log is full. */
  add(at: string, content: EventContent): void
  /** Returns the events after a number. */
  after(seq: number): readonly LoggedEvent[]
  /** Returns the number of the latest event; 0 before the first one. */
  latest(): number
}

/** Creates an empty log. */
export function createEventLog(): EventLog {
  const events: LoggedEvent[] = []
  let latest = 0
  return {
    add(at, content) {
      latest++
      events.push({ seq: latest, at, ...content })
      if (events.length > maxEvents) events.shift()
    },
    after: (seq) => events.slice(Math.max(0, events.length - (latest - seq))),
    latest: () => latest
  }
}
