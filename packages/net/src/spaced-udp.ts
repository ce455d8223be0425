import { type CallOptions, type Clock, isNatError } from '@postern/interface'
import { type AnswerTimes, createAnswerTimes } from './answer-times.js'
import { createQueue, type Queue } from './queue.js'
import { requestUdp, type UdpRequest } from './request-udp.js'
import { type OpenUdp, openUdp } from './udp.js'

/** Asks one service, one request at a time. */
export type SpacedUdp = <T>(request: Omit<UdpRequest<T>, 'clock' | 'open'>, call: CallOptions) => Promise<T>

/** RFC 6886 §3.1: a request that was not answered is outstanding for so long after it was sent last, in ms. */
const outstandingMs = 250
const silence: ReadonlySet<string> = new Set(['NO_REPLY', 'MALFORMED_REPLY', 'UNREACHABLE', 'UNTRUSTED_REPLY'])

/**
 * {@link requestUdp} to one service. Where a sending of the request before has no answer of its own, since the request was
 * given up or an earlier sending was answered, the next request leaves 250 ms after it. How long answers take is noted.
 */
export function spacedUdp(clock: Clock, times: AnswerTimes, open: OpenUdp = openUdp): SpacedUdp {
  let sentMs = Number.NEGATIVE_INFINITY
  /** Sendings of the last request that have no answer. */
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
      // A refusal is an answer.
      if (!call.signal.aborted && isNatError(error) && !silence.has(error.code)) unanswered -= 1
      throw error
    }
  }
}

/** What lasts of asking one service, beyond a search for it. */
export interface UdpLine {
  readonly times: AnswerTimes
  /** One request at a time: servers in small routers drop what comes in meanwhile (RFC 6886 §3.1). */
  readonly inTurn: Queue
  readonly request: SpacedUdp
}

/** Returns the line to a service that has not been asked yet. */
export function createUdpLine(clock: Clock, open: OpenUdp = openUdp): UdpLine {
  const times = createAnswerTimes()
  return { times, inTurn: createQueue(), request: spacedUdp(clock, times, open) }
}
