import type { ServerResponse } from 'node:http'
import type { Clock } from '@postern/interface'

/** How many pages may be open at the same time. Each holds a connection. */
const maxStreams = 8
/** The shortest time between two messages to a page, in ms. Everything that happens meanwhile is one message. */
const minIntervalMs = 200
/** How often the report is looked at without an event, in ms: expiry times change without one. */
const pollIntervalMs = 5000

/** The pages that are open. */
export interface Streams {
  /** Sends the state to a page now, and after each change. Returns false if too many pages are open, or there is no report. */
  add(response: ServerResponse): boolean
  /** Notes that something has changed. It is sent soon. */
  changed(): void
}

interface Stream {
  readonly response: ServerResponse
  /** The number of the last event that was sent. */
  sent: number
  /** The report that was sent last. */
  report: string
}

/** What is sent: the report and the events, as JSON. */
export interface Feed {
  /** Returns the report as JSON. */
  report(): string
  /** Returns a message with the report and the events after a number. */
  message(report: string, after: number): string
  /** Returns the number of the latest event. */
  latest(): number
}

/**
 * Sends the state to the pages that are open, as server-sent events, until the signal aborts.
 *
 * Nothing is queued for a page: one that does not read is sent nothing more until it has read, and then what it has missed, as
 * far as the log of events goes back.
 */
export function createStreams(feed: Feed, clock: Clock, signal: AbortSignal): Streams {
  const streams = new Set<Stream>()
  let isWaiting = false
  let isPolling = false

  function send(stream: Stream, report: string): void {
    if (stream.response.writableNeedDrain || (stream.report === report && stream.sent === feed.latest())) return
    stream.response.write(`data: ${feed.message(report, stream.sent)}\n\n`)
    stream.sent = feed.latest()
    stream.report = report
  }

  /** Returns the report; undefined if the source fails. Then pages say that the program does not answer: it must not end because of a
   * page. */
  function reportNow(): string | undefined {
    try {
      return feed.report()
    } catch {
      return undefined
    }
  }

  function flush(): void {
    if (streams.size === 0) return
    const report = reportNow()
    for (const stream of streams) {
      if (report === undefined) stream.response.destroy()
      else send(stream, report)
    }
  }

  function changed(): void {
    if (isWaiting || streams.size === 0) return
    isWaiting = true
    clock.sleep(minIntervalMs, { signal }).then(
      () => {
        isWaiting = false
        flush()
      },
      () => undefined
    )
  }

  async function poll(): Promise<void> {
    if (isPolling) return
    isPolling = true
    while (streams.size > 0 && !signal.aborted) {
      await clock.sleep(pollIntervalMs, { signal }).catch(() => undefined)
      if (!signal.aborted) flush()
    }
    isPolling = false
  }

  return {
    add(response) {
      const report = reportNow()
      if (streams.size >= maxStreams || report === undefined) return false
      const stream: Stream = { response, sent: 0, report: '' }
      streams.add(stream)
      response.once('close', () => streams.delete(stream))
      response.on('drain', changed)
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
      send(stream, report)
      void poll()
      return true
    },
    changed
  }
}
