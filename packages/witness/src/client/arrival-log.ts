import type { Arrival, CallOptions, Clock, Protocol, ServerHost } from '@postern/interface'
import { untilAborted, waitAtMost } from '@postern/interface'
import type { Place } from '../wire/messages.js'

/** What arrived at the server of this program during one question. */
export interface ArrivalLog {
  /** Resolves to the arrival that comes from this place, or has come already; undefined if none does within `ms`. */
  find(from: Place, ms: number): Promise<Arrival | undefined>
  /** Resolves to the first arrival within `ms`, or to one that has come already; undefined without one. */
  any(ms: number): Promise<Arrival | undefined>
  /** Returns all arrivals, the oldest first; the last 4096 if there were more. */
  all(): readonly Arrival[]
}

/** A busy server has this many connections within the seconds of a question only in an attack. */
const maxArrivals = 4096

/** Notes the arrivals that `isMine` accepts, until the signal aborts. */
export function logArrivals(
  host: ServerHost,
  protocol: Protocol,
  isMine: (arrival: Arrival) => boolean,
  call: CallOptions
): ArrivalLog {
  const { clock } = host
  const seen: Arrival[] = []
  const waiting = new Set<(arrival: Arrival) => void>()
  host.arrivals(
    { protocol },
    (arrival) => {
      if (!isMine(arrival)) return
      // In a flood the connection of the witness comes last, since the reply follows soon after it.
      if (seen.push(arrival) > maxArrivals) seen.shift()
      for (const each of waiting) each(arrival)
    },
    call
  )
  return {
    find: (from, ms) => first(clock, seen, waiting, (arrival) => isFrom(arrival, from), ms, call),
    any: (ms) => first(clock, seen, waiting, () => true, ms, call),
    all: () => seen
  }
}

const isFrom = ({ remoteAddress, remotePort }: Arrival, { address, port }: Place): boolean =>
  remotePort === port && remoteAddress === address

async function first(
  clock: Clock,
  seen: readonly Arrival[],
  waiting: Set<(arrival: Arrival) => void>,
  is: (arrival: Arrival) => boolean,
  ms: number,
  call: CallOptions
): Promise<Arrival | undefined> {
  const known = seen.find(is)
  if (known !== undefined) return known
  const found = Promise.withResolvers<Arrival>()
  const look = (arrival: Arrival): void => {
    if (is(arrival)) found.resolve(arrival)
  }
  waiting.add(look)
  try {
    const ended = untilAborted(call.signal).then(() => undefined)
    return await waitAtMost(clock, ms, Promise.race([found.promise, ended]), undefined)
  } finally {
    waiting.delete(look)
  }
}
