import { type CallOptions, type Clock, createQueue, isNatError, type Queue } from '@postern/interface'
import { type AnswerTimes, createAnswerTimes } from './answer-times.js'
import { requestUdp, type UdpRequest } from './request.js'
import { type OpenUdp, openUdp } from './udp.js'

/** Sends requests to one service. Only one request at a time may be made. */
export type SpacedUdp = <T>(request: Omit<UdpRequest<T>, 'clock' | 'open'>, call: CallOptions) => Promise<T>

/** How long an unanswered request counts as outstanding after its last transmission, in ms (RFC 6886 §3.1). */
const outstandingMs = 250
const silence: ReadonlySet<string> = new Set(['NO_REPLY', 'MALFORMED_REPLY', 'UNREACHABLE', 'UNTRUSTED_REPLY'])

/**
 * Returns {@link requestUdp} for one service, with spacing. If a transmission of the previous request has no answer of
 * its own (the request was given up, or an earlier transmission was answered), the next request is sent at the earliest
 * 250 ms after it. Records in `times` how long answers take.
 */
export function spacedUdp(clock: Clock, times: AnswerTimes, open: OpenUdp = openUdp): SpacedUdp {
  let sentMs = Number.NEGATIVE_INFINITY
  /** The number of transmissions of the last request that have no answer. */
  let unanswered = 0
  const openNoting: OpenUdp = async (options, call) => {
    const socket = await open(options, call)
    return {
      ...socket,
      send(bytes, to) {
        sentMs = clock.monotonicMs()
        unanswered += 1
        socket.send(bytes, to)
      }
    }
  }
  return async (request, call) => {
    const waitMs = sentMs + outstandingMs - clock.monotonicMs()
    if (unanswered > 0 && waitMs > 0) await clock.sleep(waitMs, call)
    unanswered = 0
    const beganMs = clock.monotonicMs()
    try {
      const reply = await requestUdp({ ...request, clock, open: openNoting }, call)
      unanswered -= 1
      times.note(clock.monotonicMs() - beganMs)
      return reply
    } catch (error) {
      // A refusal counts as an answer.
      if (!call.signal.aborted && isNatError(error) && !silence.has(error.code)) unanswered -= 1
      throw error
    }
  }
}

/** The state for asking one service that outlasts a single search. */
export interface UdpLine {
  /** How long the service takes to answer. */
  readonly times: AnswerTimes
  /** Queues requests: servers in small routers drop requests that arrive while one is in progress (RFC 6886 §3.1). */
  readonly inTurn: Queue
  /** Sends one request. Call it in a turn of `inTurn`. */
  readonly request: SpacedUdp
}

/** Creates the state for a service that has not been asked yet. */
export function createUdpLine(clock: Clock, open: OpenUdp = openUdp): UdpLine {
  const times = createAnswerTimes()
  return { times, inTurn: createQueue(), request: spacedUdp(clock, times, open) }
}
