import { mappingEventNames, type Report, type TraversalEvents, type TypedEvents } from '@postern/core'
import { type Clock, checkOptions, systemClock } from '@postern/interface'
import type { EventContent, LoggedEvent } from './model/state.js'

/** What the page shows: a traversal, an exposure, or `node.services.nat`. */
export interface StatusSource extends Pick<TypedEvents<TraversalEvents>, 'addEventListener'> {
  /** Returns the current report. */
  report(): Report
}

/** Options of `recordEvents()`. */
export interface RecordEventsOptions {
  /** Called after each event.
   * @default does nothing */
  readonly changed?: () => void
  /** The clock for the times of events.
   * @default the clock of this machine */
  readonly clock?: Clock
}

/** The latest events of a source, numbered from 1. */
export interface EventRecord {
  /** Returns the events after a number, by default all that are kept, the oldest first. */
  after(seq?: number): readonly LoggedEvent[]
  /** Returns the number of the latest event; 0 before the first one. */
  latest(): number
  /** Removes the listeners from the source. Idempotent. */
  stop(): void
  /** Like `stop()`, for `using`. */
  [Symbol.dispose](): void
}

/** The events that are kept for a browser that opens the page later. */
const maxEvents = 500

/** Records the latest 500 events of a source. Throws a TypeError for an invalid source or option. */
export function recordEvents(source: StatusSource, options: RecordEventsOptions = {}): EventRecord {
  checkSource(source)
  checkOptions('recordEvents()', options, { changed: 'function', clock: 'object' })
  const { changed = () => undefined, clock = systemClock } = options
  const events: LoggedEvent[] = []
  const ended = new AbortController()
  const { signal } = ended
  let latest = 0

  function note(content: EventContent): void {
    latest++
    events.push({ seq: latest, at: new Date(clock.wallMs()).toISOString(), ...content })
    if (events.length > maxEvents) events.shift()
    changed()
  }

  for (const name of mappingEventNames)
    source.addEventListener(name, ({ detail }) => note({ name, detail }), { signal })
  source.addEventListener('strategy', ({ detail }) => note({ name: 'strategy', detail }), { signal })
  source.addEventListener('upgrade', ({ detail }) => note({ name: 'upgrade', detail }), { signal })
  // The report is shown as a whole: of the one in the event, the verdict is enough.
  const noteVerdict = ({ detail: { verdict, cause } }: CustomEvent<Report>): void =>
    note({ name: 'verdict', detail: { verdict, cause } })
  source.addEventListener('verdict', noteVerdict, { signal })

  const stop = (): void => ended.abort()
  return {
    after: (seq = 0) => events.slice(Math.max(0, events.length - (latest - seq))),
    latest: () => latest,
    stop,
    [Symbol.dispose]: stop
  }
}

function checkSource(source: unknown): void {
  const isSource =
    typeof source === 'object' &&
    source !== null &&
    'report' in source &&
    typeof source.report === 'function' &&
    'addEventListener' in source &&
    typeof source.addEventListener === 'function'
  if (!isSource) {
    throw new TypeError(
      'give a traversal, an exposure or node.services.nat, with report() and addEventListener(), and not something else'
    )
  }
}
