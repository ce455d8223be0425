import type { Clock } from '@postern/interface'
import type { MappingEvent } from './events.js'
import type { MemoryBook } from './memory.js'

const dayMs = 24 * 60 * 60 * 1000

/** Remembers that an endpoint was verified now, at whatever gateway. */
export function noteVerified(book: MemoryBook, clock: Clock, { protocol, internal }: MappingEvent): void {
  for (const each of book.all()) {
    const { endpoint } = each
    if (endpoint.protocol === protocol && endpoint.address === internal.address && endpoint.port === internal.port)
      book.note(each, { verifiedAt: clock.wallMs() })
  }
}

/** Whether this host was verified in the day before, in this run or another: it will be again, most likely. */
export const wasVerified = (book: MemoryBook, clock: Clock): boolean =>
  book.all().some(({ verifiedAt }) => verifiedAt !== null && clock.wallMs() - verifiedAt < dayMs)
